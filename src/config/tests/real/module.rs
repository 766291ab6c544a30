//! The smallest module that Envoy takes for a filter: it does nothing.

use std::path::{Path, PathBuf};

fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).ok().filter(|length| *length < 128).expect("a short section");
    [&[length], bytes].concat()
}

/// Writes it into `folder`.
pub fn write(folder: &Path) -> PathBuf {
    let exports = [
        &[3][..],
        &sized(b"memory"),
        &[2, 0],
        &sized(b"proxy_abi_version_0_2_1"),
        &[0, 0],
        &sized(b"proxy_on_memory_allocate"),
        &[0, 1],
    ]
    .concat();
    let module = [
        &b"\0asm\x01\0\0\0"[..],
        &[1],
        // Two types: () -> () and (i32) -> i32.
        &sized(&[2, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f]),
        &[3],
        &sized(&[2, 0, 1]),
        &[5],
        &sized(&[1, 0, 1]),
        &[7],
        &sized(&exports),
        &[10],
        // An empty body, and one that answers 1024.
        &sized(&[2, 2, 0, 0x0b, 5, 0, 0x41, 0x80, 0x08, 0x0b]),
    ]
    .concat();
    let path = folder.join("nothing.wasm");
    std::fs::write(&path, module).expect("the folder is ours");
    path
}
