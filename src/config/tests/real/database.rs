//! A MaxMind database with one entry: 127.0.0.0/8 is Taiwan.

use std::path::{Path, PathBuf};

fn text(value: &str) -> Vec<u8> {
    assert!(value.len() < 29, "longer texts have another form");
    [&[2 << 5 | value.len() as u8], value.as_bytes()].concat()
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![7 << 5 | entries.len() as u8];
    for (key, value) in entries {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes
}

/// Writes it into `folder`.
pub fn write(folder: &Path) -> PathBuf {
    const NODES: u32 = 8;
    let mut tree = Vec::new();
    for depth in 0..NODES {
        // Nothing is found off the path; at its end stands the entry at offset 0 of the data.
        let next = if depth + 1 < NODES { depth + 1 } else { NODES + 16 };
        let one = 127u8 >> (7 - depth) & 1 == 1;
        let (left, right) = if one { (NODES, next) } else { (next, NODES) };
        tree.extend(left.to_be_bytes().into_iter().skip(1));
        tree.extend(right.to_be_bytes().into_iter().skip(1));
    }
    let data = map(&[("country", map(&[("iso_code", text("TW"))]))]);
    let small = |value: u8| vec![5 << 5 | 1, value];
    let about = map(&[
        ("binary_format_major_version", small(2)),
        ("binary_format_minor_version", small(0)),
        ("build_epoch", vec![1, 2, 1]),
        ("database_type", text("Test-Country")),
        ("description", map(&[])),
        ("ip_version", small(4)),
        ("languages", vec![0, 4]),
        ("node_count", vec![6 << 5 | 1, NODES as u8]),
        ("record_size", small(24)),
    ]);
    let path = folder.join("country.mmdb");
    let bytes = [&tree[..], &[0; 16], &data, b"\xab\xcd\xefMaxMind.com", &about].concat();
    std::fs::write(&path, bytes).expect("the folder is ours");
    path
}
