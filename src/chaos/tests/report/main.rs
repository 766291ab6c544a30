//! The pages of runs: what stands in them, what cannot break them, and how they look in a real browser.

mod browser;
mod fixture;
mod pages;
