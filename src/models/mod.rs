//! One file per published architecture, named as its paper names it.
//!
//! A model reads its checkpoint's own config, validates it, and builds a [`crate::graph::Graph`] for
//! concrete shapes. It knows no backend, so a model cannot be written for one device only. Every
//! file says which paper and which files of the authors' code it follows.

pub mod config;
pub mod dit;
pub mod open_sora_plan_v1_3;
pub mod t5;
pub mod uvit;
pub mod wf_vae;
