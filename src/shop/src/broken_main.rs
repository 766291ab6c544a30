//! The same shop with faults of its own, which tests must find: `SHOP_BROKEN` says which. Never shipped.

#![forbid(unsafe_code)]

fn main() -> anyhow::Result<()> {
    evenkeel_shop::serve()
}
