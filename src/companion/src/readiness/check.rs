//! How a component is asked, whichever it is.

use super::application::Application;
use super::kafka::Kafka;
use super::redis::Redis;
use std::time::Duration;

/// A component with the connection that is kept to it.
#[derive(Debug)]
pub enum Check {
    /// The application answers.
    Application(Application),
    /// A key is set and read back.
    Redis(Redis),
    /// A record is acknowledged.
    Kafka(Kafka),
}

impl Check {
    /// The component's name.
    pub fn name(&self) -> &'static str {
        match self {
            Check::Application(_) => "application",
            Check::Redis(_) => "redis",
            Check::Kafka(_) => "kafka",
        }
    }

    /// Whether it decides.
    pub fn required(&self) -> bool {
        match self {
            Check::Application(check) => check.required(),
            Check::Redis(check) => check.required(),
            Check::Kafka(check) => check.required(),
        }
    }

    /// The check as a whole takes no longer.
    pub fn limit(&self) -> Duration {
        match self {
            Check::Application(check) => check.limit(),
            Check::Redis(check) => check.limit(),
            Check::Kafka(check) => check.limit(),
        }
    }

    /// Asks.
    ///
    /// # Errors
    /// Why the component is down, in words.
    pub async fn run(&self) -> Result<(), String> {
        match self {
            Check::Application(check) => check.run().await,
            Check::Redis(check) => check.run().await,
            Check::Kafka(check) => check.run().await,
        }
    }

    /// What it means that the limit was reached.
    pub fn too_late(&self) -> String {
        match self {
            Check::Kafka(check) => check.too_late(),
            _ => format!("no answer within {}", humantime::format_duration(self.limit())),
        }
    }

    /// Forgets the kept connection.
    pub fn reset(&self) {
        match self {
            Check::Application(check) => check.reset(),
            Check::Redis(check) => check.reset(),
            Check::Kafka(check) => check.reset(),
        }
    }
}
