//! A real etcd of one member.

use crate::port::Port;
use crate::server::Server;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// One member, its data, and the port that its peers would use.
pub struct Etcd {
    server: Server,
    folder: TempDir,
    _peers: Port,
}

impl Etcd {
    /// Starts one. `certificate` and its key, in PEM, make it speak TLS.
    ///
    /// # Panics
    /// If there is none here, or it does not start.
    pub async fn start(certificate: Option<(&str, &str)>) -> Self {
        let folder = tempfile::Builder::new().prefix("evenkeel-etcd-").tempdir().expect("a directory");
        let scheme = if certificate.is_some() { "https" } else { "http" };
        if let Some((certificate, key)) = certificate {
            for (name, text) in [("certificate.pem", certificate), ("key.pem", key)] {
                std::fs::write(folder.path().join(name), text).expect("etcd's certificate");
            }
        }
        let peers = Port::free();
        let (root, peer, tls) = (folder.path().to_owned(), peers.address(), certificate.is_some());
        let server = Server::start("etcd", move |listen, reached| {
            let mut command = Command::new("etcd");
            command
                .arg("--data-dir")
                .arg(root.join("data"))
                .args(["--unsafe-no-fsync", "--log-level", "error", "--name", "one"])
                .args(["--listen-client-urls", &format!("{scheme}://{listen}")])
                .args(["--advertise-client-urls", &format!("{scheme}://{reached}")])
                .args(["--listen-peer-urls", &format!("http://{peer}")])
                .args(["--initial-advertise-peer-urls", &format!("http://{peer}")])
                .args(["--initial-cluster", &format!("one=http://{peer}")]);
            if tls {
                command.arg("--cert-file").arg(root.join("certificate.pem"));
                command.arg("--key-file").arg(root.join("key.pem"));
            }
            command
        })
        .await;
        Etcd { server, folder, _peers: peers }
    }

    /// The process and its network.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// Where it is, for `quorum.etcd.endpoints`.
    pub fn url(&self) -> String {
        let tls = self.certificate().exists();
        let port = self.server.address().port();
        // By name where there is a certificate: it bears one.
        if tls { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") }
    }

    /// Its certificate's file, where it has one.
    pub fn certificate(&self) -> std::path::PathBuf {
        Path::join(self.folder.path(), "certificate.pem")
    }

    /// Runs `etcdctl` against it.
    ///
    /// # Panics
    /// If that fails.
    pub fn control(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.url()]);
        if self.certificate().exists() {
            command.arg("--cacert").arg(self.certificate());
        }
        let output = command.args(arguments).output().expect("etcdctl starts");
        assert!(output.status.success(), "etcdctl {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
