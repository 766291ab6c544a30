//! Which node answers a read.

use super::{NodeView, Role, Rules, View, Writer};

/// The node that answers a read, of those that are reachable and not drained. In this order, and where
/// there are several by `draw`, any number:
///
/// 1. a replica within the lag bounds for which `local` says yes;
/// 2. any other replica within the lag bounds;
/// 3. the writer;
/// 4. while no writer is known, any replica, `local` ones first, however far behind: nobody can tell
///    how far that is, the data it holds is as good as any that can be had, and reads must go on
///    while a new writer is found. While one is known, a replica beyond the bounds answers nothing.
pub fn reader(view: &View, rules: &Rules, local: impl Fn(usize) -> bool, draw: u64) -> Option<usize> {
    let usable = |node: &NodeView| node.reachable && !node.drained;
    let replica = |node: &NodeView| usable(node) && node.role == Some(Role::Replica);
    let current = |node: &NodeView| replica(node) && within(node, rules);
    let nearest = |fits: &dyn Fn(&NodeView) -> bool| {
        pick(view, draw, |place, node| fits(node) && local(place))
            .or_else(|| pick(view, draw, |_, node| fits(node)))
    };
    nearest(&current).or_else(|| match view.writer {
        Writer::Known { node, .. } => view.nodes.get(node).filter(|found| usable(found)).map(|_| node),
        Writer::None | Writer::Conflict { .. } => nearest(&replica),
    })
}

fn within(node: &NodeView, rules: &Rules) -> bool {
    let bytes = match rules.max_replica_lag_bytes {
        None => true,
        Some(most) => node.lag_bytes.is_some_and(|bytes| bytes <= most),
    };
    bytes && node.lag.is_some_and(|lag| lag <= rules.max_replica_lag)
}

fn pick(view: &View, draw: u64, fits: impl Fn(usize, &NodeView) -> bool) -> Option<usize> {
    let fitting =
        || view.nodes.iter().enumerate().filter(|(place, node)| fits(*place, node)).map(|(place, _)| place);
    let count = fitting().count() as u64;
    let turn = usize::try_from(draw.checked_rem(count)?).ok()?;
    fitting().nth(turn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Lsn;
    use crate::time::{Millis, Time};

    const RULES: Rules = Rules {
        unhealthy_threshold: 2,
        healthy_threshold: 2,
        interval: Millis::new(200),
        interval_without_writer: Millis::new(50),
        max_replica_lag: Millis::new(5000),
        max_replica_lag_bytes: Some(1000),
    };

    /// Node 0 writes; 1 and 2 are replicas here, 3 elsewhere.
    fn view() -> View {
        let node = |role, lag| NodeView {
            reachable: true,
            role: Some(role),
            timeline: Some(1),
            lsn: Some(Lsn(1)),
            lag_bytes: Some(0),
            lag,
            sampled_at: Some(Time::ZERO),
            since: Time::ZERO,
            error: None,
            drained: false,
        };
        let mut nodes = vec![node(Role::Replica, Some(Millis::ZERO)); 4];
        nodes[0] = node(Role::Writer, None);
        View {
            nodes,
            writer: Writer::Known { node: 0, timeline: 1 },
            generation: 1,
            highest_timeline: 1,
            writer_since: Time::ZERO,
        }
    }

    fn chosen(view: &View, draw: u64) -> Option<usize> {
        reader(view, &RULES, |node| node < 3, draw)
    }

    #[test]
    fn local_replicas_share_the_reads() {
        assert_eq!(
            [0, 1, 2, u64::MAX].map(|draw| chosen(&view(), draw)),
            [Some(1), Some(2), Some(1), Some(2)]
        );
    }

    #[test]
    fn then_comes_another_region_then_the_writer_then_nobody() {
        let mut view = view();
        view.nodes[1].lag = Some(Millis::new(5001));
        assert_eq!(chosen(&view, 0), Some(2));
        view.nodes[2].lag_bytes = Some(1001);
        assert_eq!(chosen(&view, 0), Some(3));
        view.nodes[3].drained = true;
        assert_eq!(chosen(&view, 0), Some(0));
        view.nodes[0].reachable = false;
        assert_eq!(chosen(&view, 0), None);
    }

    #[test]
    fn without_a_writer_a_replica_answers_however_far_behind() {
        let mut view = view();
        for node in &mut view.nodes {
            (node.lag, node.lag_bytes) = (None, None);
        }
        assert_eq!(chosen(&view, 0), Some(0), "while there is a writer it answers");
        for writer in [Writer::None, Writer::Conflict { nodes: (0, 1), timeline: 1 }] {
            view.writer = writer;
            assert_eq!(chosen(&view, 1), Some(2));
        }
        view.nodes[1].reachable = false;
        view.nodes[2].reachable = false;
        assert_eq!(chosen(&view, 0), Some(3));
        view.nodes[3].role = Some(Role::Writer);
        assert_eq!(chosen(&view, 0), None, "one that claims to write and may not is no place to read");
    }
}
