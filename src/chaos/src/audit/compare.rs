//! What is lost, doubled, changed or different: the ledger and the nodes' rows side by side.

use super::node::{Row, Rows};
use crate::journal::{Audit, Fate, Order};
use std::collections::{BTreeMap, BTreeSet};

/// Compares. `rows` of each node by name; `writer` is the place of the one that all is measured by.
pub fn compare(run: &str, ledger: &[Order], rows: &[(String, Rows)], writer: usize) -> Audit {
    let mut audit = Audit::default();
    for (node, rows) in rows {
        audit.nodes.insert(node.clone(), rows.len() as u64);
    }
    let Some((_, written)) = rows.get(writer) else { return audit };
    // A row belongs to the order that its key names, and to the one that its customer names.
    let mut found: BTreeMap<&str, BTreeSet<&Row>> = BTreeMap::new();
    for row in written {
        for name in [&row.key, &row.customer] {
            if name.strip_prefix(run).is_some_and(|rest| rest.starts_with('-')) {
                found.entry(name).or_default().insert(row);
            }
        }
    }
    let mut asked = BTreeSet::new();
    for order in ledger {
        asked.insert(order.key.as_str());
        let there = found.get(order.key.as_str());
        let acknowledged = matches!(order.fate, Fate::Acknowledged(_));
        match there.map_or(0, BTreeSet::len) {
            0 if acknowledged => audit.lost.push(order.key.clone()),
            0 => {}
            1 => audit.unknown_present += u64::from(order.fate == Fate::Unknown),
            _ => audit.doubled.push(order.key.clone()),
        }
        if there.into_iter().flatten().any(|row| !is_right(row, order)) {
            audit.corrupt.push(order.key.clone());
        }
    }
    audit.unasked = found.keys().filter(|key| !asked.contains(**key)).map(|key| (*key).to_owned()).collect();
    let by_id = |rows: &Rows| -> BTreeMap<String, Row> {
        rows.iter().map(|row| (row.id.clone(), row.clone())).collect()
    };
    let here = by_id(written);
    for (node, rows) in rows {
        let there = by_id(rows);
        let ids: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
        for id in ids.into_iter().filter(|id| here.get(*id) != there.get(*id)) {
            let key = here.get(id).or_else(|| there.get(id)).map_or("", |row| row.key.as_str());
            audit.diverged.push(format!("{node}: {key}"));
        }
    }
    audit
}

/// The row is what the client asked for, under the number that it was told.
fn is_right(row: &Row, order: &Order) -> bool {
    let told = match &order.fate {
        Fate::Acknowledged(id) => *id == row.id,
        Fate::Refused(_) | Fate::Unknown => true,
    };
    told && row.key == order.key
        && row.customer == order.key
        && row.total_cents == order.total_cents
        && row.sum == Some(order.total_cents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: u32, fate: Fate) -> Order {
        let key = format!("run-{number}");
        Order { key, due: 0.0, end: 1.0, client: 0, total_cents: 100, fate }
    }

    fn taken(number: u32) -> Order {
        order(number, Fate::Acknowledged(format!("id-{number}")))
    }

    fn row(number: u32) -> Row {
        let key = format!("run-{number}");
        let (id, customer) = (format!("id-{number}"), key.clone());
        Row { id, key, customer, total_cents: 100, sum: Some(100), digest: String::new() }
    }

    fn audit(ledger: &[Order], writer: Rows, replica: Rows) -> Audit {
        compare("run", ledger, &[("a".to_owned(), replica), ("b".to_owned(), writer)], 1)
    }

    #[test]
    fn what_is_there_as_it_was_told_is_nothing_to_tell() {
        let ledger =
            [taken(1), order(2, Fate::Unknown), order(3, Fate::Refused(503)), order(4, Fate::Unknown)];
        let rows = vec![row(1), row(2), row(3)];
        let expected = Audit {
            nodes: [("a".to_owned(), 3), ("b".to_owned(), 3)].into(),
            unknown_present: 1,
            ..Audit::default()
        };
        assert_eq!(audit(&ledger, rows.clone(), rows), expected);
    }

    #[test]
    fn each_fault_is_found_under_its_own_name() {
        let one = || vec!["run-1".to_owned()];
        let ledger = [taken(1)];
        assert_eq!(audit(&ledger, vec![], vec![]).lost, one());
        // Doubled under the same key, were the table without its constraint, or under another one.
        let second = Row { id: "other".to_owned(), ..row(1) };
        let hidden = Row { key: "other".to_owned(), ..second.clone() };
        for second in [second, hidden] {
            let rows = vec![row(1), second];
            assert_eq!(audit(&ledger, rows.clone(), rows).doubled, one());
        }
        let changes: [fn(&mut Row); 5] = [
            |row| row.id = "other".to_owned(),
            |row| row.total_cents += 1,
            |row| row.sum = Some(99),
            |row| row.sum = None,
            |row| row.customer = "run-2".to_owned(),
        ];
        for change in changes {
            let mut changed = row(1);
            change(&mut changed);
            assert_eq!(audit(&ledger, vec![changed.clone()], vec![changed]).corrupt, one());
        }
        assert_eq!(audit(&[], vec![row(1)], vec![row(1)]).unasked, one());
        let changed = Row { digest: "other".to_owned(), ..row(1) };
        for replica in [vec![], vec![changed], vec![row(1), row(2)]] {
            let found = audit(&[taken(1), order(2, Fate::Unknown)], vec![row(1)], replica);
            assert_eq!(found.diverged.len(), 1, "{found:?}");
            assert!(found.lost.is_empty() && found.corrupt.is_empty(), "{found:?}");
        }
    }
}
