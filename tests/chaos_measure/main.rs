//! Measurement that cannot flatter: load, ledger, audit and verdict of the chaos library on systems that are
//! broken on purpose. Each fault must be found under its own name, and the honest system must pass.

mod edges;
mod omission;
mod run;
mod shops;
