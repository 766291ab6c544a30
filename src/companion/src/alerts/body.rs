//! Alerts in the forms that webhooks take.

use super::book::{Notice, State};
use super::{Severity, queue};
use crate::clock;
use evenkeel_config::companion::WebhookFormat;
use serde_json::{Value, json};

/// Slack takes no more characters in one text; the rest is counted.
const LONGEST_TEXT: usize = 3500;

/// One alert.
pub fn one(notice: &Notice, format: WebhookFormat, region: &str) -> Value {
    match format {
        WebhookFormat::Json => fields(notice, region),
        WebhookFormat::Slack => json!({"text": line(notice, region)}),
    }
}

/// Several, gathered into one.
pub fn many(notices: &[Notice], format: WebhookFormat, region: &str) -> Value {
    match format {
        WebhookFormat::Json => {
            let (kind, severity) = queue::gravest(notices);
            let alerts: Vec<Value> = notices.iter().map(|notice| fields(notice, region)).collect();
            json!({
                "kind": kind.as_str(),
                "severity": severity.as_str(),
                "state": "gathered",
                "summary": format!("{} alerts, gathered because there are so many", notices.len()),
                "region": region,
                "alerts": alerts,
            })
        }
        WebhookFormat::Slack => {
            let mut text = format!("*{} alerts* from {}, gathered:", notices.len(), escaped(region));
            let mut left = notices.len();
            for notice in notices {
                let line = line(notice, region);
                if text.len() + line.len() > LONGEST_TEXT {
                    text += &format!("\n… and {left} more");
                    break;
                }
                text += "\n";
                text += &line;
                left -= 1;
            }
            json!({"text": text})
        }
    }
}

fn fields(notice: &Notice, region: &str) -> Value {
    json!({
        "id": notice.id,
        "kind": notice.kind.as_str(),
        "severity": notice.severity.as_str(),
        "state": notice.state.as_str(),
        "summary": notice.summary,
        "region": region,
        "at": format!("{}Z", clock::written(notice.at).replace(' ', "T")),
        "lasted_s": notice.lasted.get() / 1000,
    })
}

/// A sign for the eye, a word for everyone.
fn line(notice: &Notice, region: &str) -> String {
    let (sign, word) = match (notice.state, notice.severity) {
        (State::Resolved, _) => (":white_check_mark:", "Resolved"),
        (_, Severity::Critical) => (":rotating_light:", "Critical"),
        (_, Severity::Warning) => (":warning:", "Warning"),
        (_, Severity::Info) => (":information_source:", "Info"),
    };
    format!(
        "{sign} *{word}* [{}] {} (seen from {})",
        notice.kind.as_str(),
        escaped(&notice.summary),
        escaped(region)
    )
}

/// Slack's own three: what an edge calls itself must not become a link or a mention.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::Kind;

    #[test]
    fn nothing_in_a_text_becomes_a_mention() {
        let notice =
            Notice::event(Kind::EdgeSilent, Severity::Warning, "edge <!channel> is silent".to_owned());
        let body = one(&notice, WebhookFormat::Slack, "taiwan");
        let text = body["text"].as_str().unwrap();
        assert!(text.contains("&lt;!channel&gt;") && text.contains("*Warning* [edge_silent]"), "{text}");
        let body = one(&notice, WebhookFormat::Json, "taiwan");
        assert_eq!(body["summary"], "edge <!channel> is silent");
        assert_eq!((&body["state"], &body["severity"]), (&json!("event"), &json!("warning")));
    }

    #[test]
    fn a_gathered_text_stays_within_slacks_length_and_counts_the_rest() {
        let notices = vec![Notice::event(Kind::Failover, Severity::Info, "x".repeat(200)); 100];
        let body = many(&notices, WebhookFormat::Slack, "taiwan");
        let text = body["text"].as_str().unwrap();
        assert!(text.len() < 3600 && text.contains("100 alerts") && text.contains(" more"), "{}", text.len());
    }
}
