//! From a graph's weight declarations to the elements in the files.

use std::path::Path;

use crate::graph::{Graph, ViewStep, WeightDecl};
use crate::tensor::{HostTensor, numel};
use crate::weights::Weights;
use crate::{Error, Result};
