//! A twin of an Ascend 910B.
