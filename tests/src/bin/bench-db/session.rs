//! Sessions of clients: tokio-postgres as the user `app`.

use evenkeel_tests::postgres::PASSWORD;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

/// A session, which ends when it is dropped.
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
}

/// Logs in, within 3 s.
///
/// # Errors
/// The server's, or the connection's.
pub async fn open(address: SocketAddr) -> anyhow::Result<Session> {
    let mut config = Config::new();
    config.host(address.ip().to_string()).port(address.port()).user("app").dbname("app").password(PASSWORD);
    let (client, connection) = tokio::time::timeout(Duration::from_secs(3), config.connect(NoTls)).await??;
    let driver = tokio::spawn(async move {
        // What ends it is told to whoever asks next.
        let _ = connection.await;
    });
    Ok(Session { client, driver })
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Session {
    /// For a transaction, which wants the session to itself.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
