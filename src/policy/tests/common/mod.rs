//! Shared by the tests; the fuzz targets use it too.
#![allow(dead_code)]

pub mod drive;
pub mod invariants;
