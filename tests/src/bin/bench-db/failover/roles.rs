//! A node's role over HTTP, in place of Patroni's REST interface: 200 at any path while the node says
//! it is the primary, 503 else, and no answer while it says nothing.

use evenkeel_tests::postgres::WATCHER;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::{Client, Config, NoTls};

/// Answers for one node until the runtime ends; gives the address.
///
/// # Errors
/// If no port is free.
pub async fn serve(node: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, node));
        }
    });
    Ok(address)
}

async fn answer(mut stream: TcpStream, node: SocketAddr) -> std::io::Result<()> {
    // A check is one small packet, and its path is known.
    let mut request = [0; 1024];
    if stream.read(&mut request).await? == 0 {
        return Ok(());
    }
    // Longer than any check waits: a node that says nothing is not answered for.
    let status = match tokio::time::timeout(Duration::from_secs(6), is_primary(node)).await {
        Err(_) => return Ok(()),
        Ok(Ok(true)) => "200 OK",
        Ok(_) => "503 Service Unavailable",
    };
    let answer = format!("HTTP/1.0 {status}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await
}

async fn is_primary(node: SocketAddr) -> Result<bool, tokio_postgres::Error> {
    let client = ask(node).await?;
    Ok(!client.query_one("SELECT pg_is_in_recovery()", &[]).await?.get::<_, bool>(0))
}

async fn ask(node: SocketAddr) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::new();
    // The superuser is trusted, so that a check costs no proof of a password.
    config.host(node.ip().to_string()).port(node.port()).user("postgres").dbname("postgres");
    config.application_name(WATCHER);
    let (client, connection) = config.connect(NoTls).await?;
    // It ends with the client.
    tokio::spawn(connection);
    Ok(client)
}
