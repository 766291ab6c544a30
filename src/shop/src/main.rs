//! The shop's command.

#![forbid(unsafe_code)]

fn main() -> anyhow::Result<()> {
    evenkeel_shop::serve()
}
