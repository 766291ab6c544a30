//! Writes small MaxMind databases (<https://maxmind.github.io/MaxMind-DB/>), for tests.

use std::net::IpAddr;
use std::path::Path;

/// A network and where it is: `("203.0.113.0/24", "AS", "TW", "TPE")`. What is empty is left out.
pub type Entry<'a> = (&'a str, &'a str, &'a str, &'a str);

/// Writes a city database that holds IPv4 and IPv6. Of networks within each other the smaller one wins,
/// whatever their order.
pub fn write(path: &Path, entries: &[Entry]) {
    std::fs::write(path, bytes(entries)).expect("the folder is the test's own");
}

/// The same in memory.
pub fn bytes(entries: &[Entry]) -> Vec<u8> {
    let mut sorted: Vec<(u128, u32, &Entry)> = entries.iter().map(bits).collect();
    sorted.sort_by_key(|(_, length, _)| *length);
    let mut data = Vec::new();
    let mut tree = vec![[Branch::Empty; 2]];
    for (address, length, entry) in sorted {
        insert(&mut tree, address, length, data.len());
        data.extend(record(entry));
    }
    let nodes = tree.len();
    let number = |branch: &Branch| match branch {
        Branch::Empty => nodes,
        Branch::Node(node) => *node,
        Branch::Data(offset) => nodes + SEPARATOR.len() + offset,
    };
    let tree = tree.iter().flatten().flat_map(|branch| (number(branch) as u32).to_be_bytes());
    let about = map(&[
        ("binary_format_major_version", unsigned(2)),
        ("binary_format_minor_version", unsigned(0)),
        ("build_epoch", vec![1, 2, 1]),
        ("database_type", text("Test-City")),
        ("description", map(&[])),
        ("ip_version", unsigned(6)),
        ("languages", vec![0, 4]),
        ("node_count", [&[6 << 5 | 4][..], &(nodes as u32).to_be_bytes()].concat()),
        ("record_size", unsigned(32)),
    ]);
    [tree.collect(), SEPARATOR.to_vec(), data, b"\xab\xcd\xefMaxMind.com".to_vec(), about].concat()
}

const SEPARATOR: [u8; 16] = [0; 16];

#[derive(Clone, Copy)]
enum Branch {
    Empty,
    Node(usize),
    Data(usize),
}

/// The network's place in the tree, where IPv4 lies below ::/96.
fn bits<'a>(entry: &'a Entry<'a>) -> (u128, u32, &'a Entry<'a>) {
    let (address, length) = entry.0.split_once('/').expect("a network has a length");
    let length: u32 = length.parse().expect("a length is a number");
    match address.parse().expect("a network begins with an address") {
        IpAddr::V4(address) => (u128::from(u32::from(address)), length + 96, entry),
        IpAddr::V6(address) => (u128::from(address), length, entry),
    }
}

fn insert(tree: &mut Vec<[Branch; 2]>, address: u128, length: u32, offset: usize) {
    assert!((1..=128).contains(&length), "the whole of everything is no network");
    let mut node = 0;
    for depth in 0..length {
        let side = (address >> (127 - depth) & 1) as usize;
        if depth + 1 == length {
            tree[node][side] = Branch::Data(offset);
            return;
        }
        node = match tree[node][side] {
            Branch::Node(next) => next,
            // What held for the larger network holds for the rest of it still.
            branch => {
                tree.push([branch; 2]);
                tree[node][side] = Branch::Node(tree.len() - 1);
                tree.len() - 1
            }
        };
    }
}

fn record((_, continent, country, subdivision): &Entry) -> Vec<u8> {
    let names =
        || ("names", map(&[("de", text("Irgendwo")), ("en", text("Somewhere")), ("ja", text("どこか"))]));
    let mut fields = Vec::new();
    if !continent.is_empty() {
        fields.push(("continent", map(&[("code", text(continent)), names()])));
    }
    if !country.is_empty() {
        fields.push(("country", map(&[("iso_code", text(country)), names()])));
    }
    if !subdivision.is_empty() {
        let first = map(&[("iso_code", text(subdivision)), names()]);
        fields.push(("subdivisions", [vec![1, 4], first].concat()));
    }
    map(&fields)
}

fn text(value: &str) -> Vec<u8> {
    assert!(value.len() < 29, "longer texts have another form");
    [&[2 << 5 | value.len() as u8], value.as_bytes()].concat()
}

fn unsigned(value: u8) -> Vec<u8> {
    vec![5 << 5 | 1, value]
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![7 << 5 | entries.len() as u8];
    for (key, value) in entries {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes
}
