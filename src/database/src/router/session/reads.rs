//! What a read must see before a replica may answer it.

use super::super::hub::count;
use super::{Seen, Session};
use evenkeel_config::database::{Consistency, Mode};

impl Session {
    /// Waits until the session's replica has replayed what the next read must see. False if it has
    /// not in time, or if nobody can say: the writer answers then.
    pub(super) async fn sees_enough(&mut self) -> bool {
        if self.port.config.mode != Mode::Auto {
            return true;
        }
        let wanted = match self.port.config.consistency {
            Consistency::Eventual | Consistency::Off => return true,
            Consistency::Session => self.seen,
            Consistency::Global => Seen::OwnWrites,
        };
        let view = self.hub.watch.view();
        let Some(node) = self.near.as_ref().map(|lease| lease.node) else { return false };
        if view.writer() == Some(node) {
            return true;
        }
        let wanted = match wanted {
            Seen::Anything => return true,
            // A position on a former writer's log means nothing on this one's.
            Seen::Position(generation, position) if generation == view.generation => {
                Some((generation, position))
            }
            Seen::OwnWrites | Seen::Position(..) => self.hub.watch.writer_position().await,
        };
        let Some((generation, position)) = wanted else { return false };
        self.seen = Seen::Position(generation, position);
        let replayed = view.nodes.get(node).and_then(|node| node.lsn);
        if generation == view.generation && replayed.is_some_and(|replayed| replayed >= position) {
            self.seen = Seen::Anything;
            return true;
        }
        count(&self.hub.counters.replay_waits);
        let within = self.hub.limits.load().hold.replay_timeout.to_duration();
        let replayed = self.hub.watch.replayed(node, generation, position, within).await;
        if replayed {
            self.seen = Seen::Anything;
        } else {
            count(&self.hub.counters.replay_timeouts);
        }
        replayed
    }
}
