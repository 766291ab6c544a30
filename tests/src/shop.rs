//! The shop as a process, honest or with a fault of its own.

use crate::port::Port;
use crate::process::end_with_parent;
use crate::{Request, parts, until};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A shop under test. Ends with its owner; says the end of its log if that owner panics.
#[derive(Debug)]
pub struct Shop {
    child: Child,
    port: Port,
    folder: TempDir,
}

impl Shop {
    /// Starts one in region taiwan that has this fault (`lose`, `double`, `corrupt`, `slow`; none: it is honest)
    /// from [`break_now`](Self::break_now) on. `database`: a PostgreSQL connection string.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub async fn start(database: &str, fault: &str) -> Shop {
        let folder = tempfile::Builder::new().prefix("evenkeel-").tempdir().expect("a directory");
        let port = Port::free();
        let log = File::create(folder.path().join("shop.log")).expect("the log");
        let mut command = Command::new(parts::shop_broken());
        command
            .args(["--listen", &port.address().to_string(), "--region", "taiwan", "--database", database])
            .env("SHOP_CONNECTIONS", "6")
            .env("SHOP_BROKEN", fault)
            .env("SHOP_BROKEN_WHILE", switch(folder.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        end_with_parent(&mut command);
        let child = command.spawn().expect("the shop starts");
        let shop = Shop { child, port, folder };
        until("the shop has its tables", PATIENCE, async || {
            let prepare = Request::post().path("/admin/prepare").send(shop.address()).await;
            prepare.ok().filter(|reply| reply.status == 204)
        })
        .await;
        shop
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its fault is there from now on.
    ///
    /// # Panics
    /// If that cannot be told to it.
    pub fn break_now(&self) {
        File::create(switch(self.folder.path())).expect("the switch");
    }

    /// It is honest again.
    pub fn mend(&self) {
        let _ = std::fs::remove_file(switch(self.folder.path()));
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("shop.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
            eprintln!("the shop's log ends:\n{}", end.join("\n"));
        }
    }
}

fn switch(folder: &Path) -> PathBuf {
    folder.join("broken")
}
