//! A client's session: tokio-postgres, with what it says of its own accord kept.

use crate::PATIENCE;
use evenkeel_tests::postgres::PASSWORD;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, SimpleQueryMessage};

/// The query that tells which node answers.
pub const NODE: &str = "SELECT current_setting('cluster_name')";

/// A client's session.
pub struct Session {
    client: Client,
    /// Ends with the connection; gives what ended it.
    driver: JoinHandle<Option<Error>>,
    notifications: Arc<Mutex<Vec<String>>>,
}

/// How a user logs in.
pub fn config(address: SocketAddr) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1").port(address.port()).user("app").password(PASSWORD).dbname("app");
    config
}

impl Session {
    /// Opens one.
    pub async fn open(address: SocketAddr) -> Result<Session, Error> {
        Session::with(&config(address)).await
    }

    /// Opens one as it is told.
    pub async fn with(config: &Config) -> Result<Session, Error> {
        let (client, mut connection) = config.connect(NoTls).await?;
        let notifications = Arc::new(Mutex::new(Vec::new()));
        let heard = notifications.clone();
        let driver = tokio::spawn(async move {
            loop {
                match std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                    Some(Ok(AsyncMessage::Notification(notification))) => {
                        heard.lock().expect("no panic").push(notification.payload().to_owned());
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Some(error),
                    None => return None,
                }
            }
        });
        Ok(Session { client, driver, notifications })
    }

    /// One value by a simple query; empty for none.
    ///
    /// # Panics
    /// If there is an error.
    pub async fn value(&self, sql: &str) -> String {
        match self.try_value(sql).await {
            Ok(value) => value,
            Err(error) => panic!("{sql}: {error:?}"),
        }
    }

    /// The same, where an error is an answer too.
    pub async fn try_value(&self, sql: &str) -> Result<String, Error> {
        let rows = self.client.simple_query(sql).await?;
        let value = rows.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        Ok(value.unwrap_or_default())
    }

    /// Which node answers a read now.
    pub async fn node(&self) -> String {
        self.value(NODE).await
    }

    /// Runs what must succeed.
    pub async fn run(&self, sql: &str) {
        if let Err(error) = self.client.batch_execute(sql).await {
            panic!("{sql}: {error:?}");
        }
    }

    /// Runs what must fail; gives the code and the message.
    pub async fn fails(&self, sql: &str) -> (String, String) {
        match self.client.batch_execute(sql).await {
            Ok(()) => panic!("{sql}: succeeded"),
            Err(error) => said(&error),
        }
    }

    /// What it was notified of so far.
    pub fn notifications(&self) -> Vec<String> {
        self.notifications.lock().expect("no panic").clone()
    }

    /// Waits until the router has ended it; gives its last words.
    pub async fn ended(&mut self) -> (String, String) {
        let ended = tokio::time::timeout(PATIENCE, &mut self.driver).await;
        match ended.expect("the session ends").expect("no panic") {
            Some(error) => said(&error),
            None => panic!("the session ended without a word"),
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.driver.is_finished()
    }

    /// Closes the socket without a word, whatever the session is doing.
    pub fn vanish(self) {
        self.driver.abort();
    }
}

impl Deref for Session {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// An error's code and message.
///
/// # Panics
/// If it is none of the database's.
pub fn said(error: &Error) -> (String, String) {
    match error.as_db_error() {
        Some(error) => (error.code().code().to_owned(), error.message().to_owned()),
        None => panic!("not an error of the database: {error:?}"),
    }
}

/// Milliseconds since then.
pub fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
