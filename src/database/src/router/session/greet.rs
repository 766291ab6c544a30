//! The first words to a client that has logged in.

use super::super::wire::backend::{put_key, put_parameter, put_ready};
use super::attach::Refusal;
use super::{End, Session};
use std::sync::Arc;

/// Whether a client may ask for this at log-in without a node being asked what it makes of it: it
/// changes nothing that the client is told.
fn is_harmless(name: &str, value: &str) -> bool {
    match name {
        "application_name" => value.len() < 64 && value.bytes().all(|b| (b' '..=b'~').contains(&b)),
        "extra_float_digits" => true,
        "client_encoding" => value.eq_ignore_ascii_case("utf8") || value.eq_ignore_ascii_case("utf-8"),
        _ => false,
    }
}

impl Session {
    /// Tells the client the node's parameters, its key, and that the session is ready.
    pub(super) async fn greet(&mut self, asked: &[(String, String)]) -> Result<(), End> {
        let is_plain =
            !self.port.is_read_only() && asked.iter().all(|(name, value)| is_harmless(name, value));
        let known = self.hub.welcome.get(&self.identity.user, &self.identity.database);
        let known = known.filter(|_| is_plain);
        match known {
            Some(parameters) => {
                self.told = (*parameters).clone();
                let name = asked.iter().rev().find(|(name, _)| name == "application_name");
                let name = name.map(|(_, value)| value.clone()).unwrap_or_default();
                self.told.retain(|(known, _)| known != "application_name");
                self.told.push(("application_name".to_owned(), name));
                for (name, value) in &self.told {
                    put_parameter(&mut self.outbox, name.as_bytes(), value.as_bytes());
                }
            }
            None => {
                let home = self.home();
                match self.attach(home, 0).await {
                    Ok(()) => self.tell_parameters(home),
                    Err(refusal) => return Err(self.refuse_login(refusal)),
                }
                if is_plain {
                    let told = Arc::new(self.told.clone());
                    self.hub.welcome.set(&self.identity.user, &self.identity.database, told);
                }
            }
        }
        let (pid, secret) = self.cancel.key();
        put_key(&mut self.outbox, pid, secret);
        put_ready(&mut self.outbox, b'I');
        Ok(())
    }

    fn refuse_login(&mut self, refusal: Refusal) -> End {
        match refusal {
            Refusal::End(end) => return end,
            Refusal::Raw(raw) => self.outbox.extend_from_slice(&raw),
            Refusal::Report(mut report) => {
                report.severity = super::super::wire::backend::Severity::Fatal;
                self.say_last(report);
            }
        }
        End::Said
    }
}
