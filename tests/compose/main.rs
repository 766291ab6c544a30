//! The platform of docker-compose.yml as it runs: orders through both edges, then what is cut and killed.
//! `make compose-test` brings it up first and runs them one after the other. Each begins with a whole
//! platform and mends what it broke. What takes long is ignored unless all is asked for.

mod application;
mod bad_input;
mod links;
mod observed;
mod orders;
mod platform;
mod rpo1s;
mod shop;
mod writer;
