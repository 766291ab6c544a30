//! Real DNS: the servers that Evenkeel is put beside or behind, and the tools that ask them.
//!
//! [`Gdnsd`] and [`PowerDns`] answer a [`Scene`], each in its own words; [`Unbound`] is the resolver in
//! front of a server; [`Question`] asks by kdig or dig, [`dnsperf`] asks as fast as it can.
//! `scripts/program.sh` installs them all.

pub mod ask;
mod daemon;
pub mod dnsperf;
pub mod evenkeel;
mod gdnsd;
mod powerdns;
mod scene;
mod unbound;

pub use ask::{Question, Reply, Tool};
pub use daemon::Daemon;
pub use evenkeel::Evenkeel;
pub use gdnsd::Gdnsd;
pub use powerdns::PowerDns;
pub use scene::{Member, Scene};
pub use unbound::{Resolving, Unbound};

use std::path::PathBuf;

/// Where a program is: in PATH, or where Debian puts servers.
///
/// # Panics
/// If it is nowhere; the message says how to get it.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("no program {name}: run 'make test', or scripts/program.sh {name}"))
}
