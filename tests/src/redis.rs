//! A real Redis.

use crate::server::Server;
use std::process::Command;

/// Starts one; `password` makes it ask for one.
///
/// # Panics
/// If there is none here, or it does not start.
pub async fn redis(password: Option<&str>) -> Server {
    let password = password.map(str::to_owned);
    Server::start("Redis", move |listen, _| {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &listen.port().to_string()]).args([
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
        ]);
        if let Some(password) = &password {
            command.args(["--requirepass", password]);
        }
        command
    })
    .await
}
