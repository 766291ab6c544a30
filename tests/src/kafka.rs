//! A real broker that speaks Kafka's protocol.

use crate::parts;
use crate::server::Server;
use std::process::Command;

/// Starts one, with no topics.
///
/// # Panics
/// If there is none here, or it does not start.
pub async fn kafka() -> Server {
    let program = parts::kafka();
    Server::start("Kafka", move |listen, known_as| {
        let mut command = Command::new(&program);
        command
            .args(["broker", "--storage-engine", "memory://tansu/"])
            .args(["--listener-url", &format!("tcp://{listen}")])
            .args(["--advertised-listener-url", &format!("tcp://{known_as}")]);
        command
    })
    .await
}
