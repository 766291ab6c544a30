"""Makes the tests inside the tokio-postgres crate reach any server.

    patch_tokio_postgres.py FOLDER

The tests are fixed on port 5433 and on a user `postgres` that needs no password. Both come from the
environment afterwards (PGPORT, PGPASSWORD); nothing else changes. The benchmark goes, and with it
what only it needs.
"""

import re
import sys
from pathlib import Path

folder = Path(sys.argv[1])

HELPER = '''
/// What a connection string says, with the server that the environment names.
pub(crate) fn at(text: &str) -> String {
    let mut text = text.replace("5433", &std::env::var("PGPORT").expect("PGPORT"));
    if text.contains("user=postgres") && !text.contains("password=") {
        text.push_str(&format!(" password={}", std::env::var("PGPASSWORD").expect("PGPASSWORD")));
    }
    text
}
'''


def change(name, changes, tail=""):
    file = folder / name
    text = file.read_text(encoding="utf-8")
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text)
        if count == 0:
            sys.exit(f"{file}: nothing matches {pattern!r}: this release is not the one that was read")
    file.write_text(text + tail, encoding="utf-8")


change(
    "tests/test/main.rs",
    [
        (r'TcpStream::connect\("127\.0\.0\.1:5433"\)', 'TcpStream::connect(at("127.0.0.1:5433"))'),
        (r"\bs\.parse::<Config>", "at(s).parse::<Config>"),
    ],
    HELPER,
)
change("tests/test/runtime.rs", [(r'"([^"]*5433[^"]*)"', r'&crate::at("\1")')])
change("Cargo.toml", [(r"\[dev-dependencies\.criterion\][^\[]*", ""), (r"\[\[bench\]\][^\[]*", "")])
