//! A question of the router's own on a session's connection, and its whole answer.

use super::super::login::Link;
use super::super::wire::backend::{self, report_field};
use super::super::wire::{HEADER, outline};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Why a question got no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The node refused it: a whole ErrorResponse.
    Refused(Bytes),
    /// The node went away.
    Gone,
}

/// Sends `out`, whole messages, and reads until the node is ready again.
///
/// `hear` takes each message but errors (whole, and its tag). Those for which it says true came of the
/// node's own accord: they are put back, before whatever comes next, for the client.
pub(super) async fn ask(
    link: &mut Link,
    out: &[u8],
    mut hear: impl FnMut(&mut Link, u8, &[u8]) -> bool,
) -> Result<(), Unanswered> {
    let sent = async {
        link.stream.write_all(out).await?;
        link.stream.flush().await
    };
    sent.await.map_err(|_| Unanswered::Gone)?;
    let (mut error, mut aside) = (None, BytesMut::new());
    loop {
        let next = outline(&link.read).map_err(|_| Unanswered::Gone)?;
        let Some(next) = next.filter(|next| link.read.len() >= next.len) else {
            if !matches!(link.stream.read_buf(&mut link.read).await, Ok(1..)) {
                return Err(Unanswered::Gone);
            }
            continue;
        };
        let message = link.read.split_to(next.len);
        match next.tag {
            backend::tag::READY => {
                aside.extend_from_slice(&link.read);
                link.read = aside;
                return error.map_or(Ok(()), |raw| Err(Unanswered::Refused(raw)));
            }
            backend::tag::ERROR if report_field(body(&message), b'V') == Some(b"FATAL") => {
                return Err(Unanswered::Gone);
            }
            backend::tag::ERROR => error = Some(message.freeze()),
            tag => {
                if hear(link, tag, &message) {
                    aside.extend_from_slice(&message);
                }
            }
        }
    }
}

/// What a whole message holds after its head.
pub(super) fn body(message: &[u8]) -> &[u8] {
    message.get(HEADER..).unwrap_or_default()
}
