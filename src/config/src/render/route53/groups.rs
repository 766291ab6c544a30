//! A set's members as one group of records, by the set's policy.

use super::records::{Answer, Candidate, Kind, Named, Routing, Work};
use evenkeel_policy::dns::{Member, Place, Policy, Set, SetId, Target};

/// Weights end here (R2).
const MAX_WEIGHT: u32 = 255;

/// Countries that it does not know (R14).
const UNKNOWN: [&str; 4] = ["BV", "CX", "EH", "HM"];

impl<'a> Work<'a> {
    pub(super) fn group(&mut self, id: SetId, set: &'a Set, named: &Named, kind: Kind) {
        let given = self.dns.records.get(usize::from(id.0)).is_some_and(|record| !record.members.is_empty());
        let labels = self.zone.labels(id);
        let mut candidates = Vec::new();
        for (at, member) in set.members.iter().enumerate() {
            let label = labels.and_then(|labels| labels.members.get(at)).cloned().unwrap_or_default();
            if !self.kinds_of(member).contains(&kind) {
                self.note(format!(
                    "{}: {label} has no {}: Route 53 chooses from the others, Evenkeel answers nothing where it \
                     chooses it",
                    named.name,
                    kind.as_str()
                ));
                continue;
            }
            let field = match self.region(member) {
                _ if given => format!("{}.members[{at}]", named.field),
                Some((region, _)) => format!("regions[{region}]"),
                None => named.field.clone(),
            };
            candidates.push(Candidate { member, label, field });
        }
        match set.policy {
            Policy::Simple => {
                self.note_lost_check(id, set, named);
                for candidate in candidates.into_iter().take(1) {
                    for answer in self.answers(&candidate, named, kind, false) {
                        self.put(named, kind, None, Routing::Simple, answer, None);
                    }
                }
            }
            Policy::Weighted => self.weighted(candidates, named, kind),
            Policy::Geolocation => {
                for candidate in candidates {
                    for place in candidate.member.places.clone() {
                        if self.knows(place, &candidate) {
                            let several = candidate.member.places.len() > 1;
                            let label = if several { place_label(place) } else { String::new() };
                            self.one(&candidate, named, kind, &label, Routing::Geolocation(place));
                        }
                    }
                }
            }
            Policy::Latency => self.latency(candidates, named, kind),
            Policy::Failover => self.failover(candidates, named, kind),
            Policy::Multivalue => self.multivalue(&candidates, named, kind),
        }
    }

    fn weighted(&mut self, candidates: Vec<Candidate<'a>>, named: &Named, kind: Kind) {
        let greatest = candidates.iter().map(|candidate| candidate.member.weight).max().unwrap_or(0);
        let scaled = |weight: u32| match weight {
            weight if greatest <= MAX_WEIGHT || weight == 0 => weight,
            // In proportion, to the nearest; what has some weight keeps some.
            weight => {
                let (weight, greatest) = (u64::from(weight), u64::from(greatest));
                ((weight * u64::from(MAX_WEIGHT) + greatest / 2) / greatest).max(1) as u32
            }
        };
        if greatest > MAX_WEIGHT {
            let weights = candidates.iter().map(|candidate| {
                let weight = candidate.member.weight;
                format!("{} {weight} is {}", candidate.label, scaled(weight))
            });
            self.note(format!(
                "{}: weights end at {MAX_WEIGHT} in Route 53, so they are scaled: {}",
                named.name,
                weights.collect::<Vec<_>>().join(", ")
            ));
        }
        for candidate in candidates {
            let weight = scaled(candidate.member.weight);
            self.one(&candidate, named, kind, "", Routing::Weighted(weight));
        }
    }

    fn latency(&mut self, candidates: Vec<Candidate<'a>>, named: &Named, kind: Kind) {
        let mut taken: Vec<String> = Vec::new();
        for candidate in candidates {
            let Some((at, region)) = self.region(candidate.member) else {
                let remedy = "name the region it stands for: Route 53 measures latency to AWS regions";
                self.errors.add(format!("{}.region", candidate.field), "", remedy);
                continue;
            };
            let field = format!("regions[{at}].aws.region");
            let Some(aws) = region.aws.region.clone() else {
                let remedy = "give the AWS region that is nearest, like \"ap-northeast-1\": Route 53 measures \
                              latency to those alone";
                self.errors.add(field, "", remedy);
                continue;
            };
            if taken.contains(&aws) {
                let remedy =
                    format!("another member of {} stands there already: Route 53 takes one", named.name);
                self.errors.add(field, &aws, remedy);
                continue;
            }
            taken.push(aws.clone());
            self.one(&candidate, named, kind, "", Routing::Latency(aws));
        }
    }

    /// Route 53 has one secondary: where there are more, it is an alias of the same for the rest.
    fn failover(&mut self, mut candidates: Vec<Candidate<'a>>, named: &Named, kind: Kind) {
        candidates.sort_by_key(|candidate| !candidate.member.primary);
        // Whoever comes behind one that never fails is never answered.
        let last = candidates.iter().position(|candidate| !may_fail(candidate.member));
        let reached = last.map_or(candidates.len(), |last| last + 1);
        if reached == 1 && candidates.len() > 1 {
            let remedy = "give the primary a health check: Route 53 takes none without";
            let field = candidates.first().map(|primary| primary.field.clone()).unwrap_or_default();
            return self.errors.add(format!("{field}.health_check"), "none", remedy);
        }
        for candidate in candidates.drain(reached..) {
            self.note(format!("{}: {} is never answered, so it is left out", named.name, candidate.label));
        }
        self.failover_chain(&candidates, named, kind);
    }

    fn failover_chain(&mut self, candidates: &[Candidate<'a>], named: &Named, kind: Kind) {
        let Some((primary, rest)) = candidates.split_first() else { return };
        let secondary = Routing::Failover { primary: false };
        let then = match rest {
            [] | [_] => None,
            _ => {
                let Some(name) = self.helper("_then", named) else { return };
                let next = Named { name: name.clone(), ..named.clone() };
                self.failover_chain(rest, &next, kind);
                Some(Answer::Alias { name: name.to_string(), evaluate: true })
            }
        };
        self.one(primary, named, kind, "", Routing::Failover { primary: true });
        match (then, rest) {
            (Some(then), _) => self.put(named, kind, Some("then".to_owned()), secondary, then, None),
            (None, [only]) => self.one(only, named, kind, "", secondary),
            (None, _) => {}
        }
    }

    fn multivalue(&mut self, candidates: &[Candidate<'a>], named: &Named, kind: Kind) {
        let mut several = false;
        for candidate in candidates {
            let answers = self.answers(candidate, named, kind, true);
            several |= answers.len() > 1;
            let plain = answers.iter().all(|answer| matches!(answer, Answer::Values { .. }));
            if !plain || kind == Kind::Cname {
                let remedy =
                    "multivalue takes addresses alone in Route 53: give those, or choose another policy";
                return self.errors.add(&candidate.field, &candidate.label, remedy);
            }
            let count = answers.len();
            for (at, answer) in answers.into_iter().enumerate() {
                let id = if count > 1 {
                    format!("{}-{}", candidate.label, at + 1)
                } else {
                    candidate.label.clone()
                };
                let check = self.check(candidate.member);
                self.put(named, kind, Some(id), Routing::Multivalue, answer, check);
            }
        }
        if several {
            self.note(format!(
                "{}: Route 53 answers up to 8 addresses, Evenkeel those of up to 8 members",
                named.name
            ));
        }
    }

    /// A simple record's check matters only to aliases, and Route 53 has none there.
    fn note_lost_check(&mut self, id: SetId, set: &Set, named: &Named) {
        let check = set.members.first().and_then(|member| self.check(member));
        let leads_here = |member: &Member| member.target == Target::Set(id) && member.evaluate_target;
        let sets = (0..self.zone.labels.len()).filter_map(|at| self.zone.records.set(SetId(at as u16)));
        if let Some(check) = check
            && sets.flat_map(|set| &set.members).any(leads_here)
        {
            self.note(format!(
                "{}: a simple record has no check in Route 53: give {check} to the alias that leads there",
                named.name
            ));
        }
    }

    fn knows(&mut self, place: Place, candidate: &Candidate<'a>) -> bool {
        let (field, value, remedy) = match place {
            Place::Country(country) if UNKNOWN.contains(&country.as_str()) => (
                "countries",
                country.as_str().to_owned(),
                "Route 53 does not know it: leave it to the default",
            ),
            Place::Subdivision(part) if part.country().as_str() != "US" => {
                ("subdivisions", part.to_string(), "Route 53 knows parts of the US alone: claim the country")
            }
            _ => return true,
        };
        self.errors.add(format!("{}.{field}", candidate.field), value, remedy);
        false
    }
}

fn may_fail(member: &Member) -> bool {
    member.check.is_some() || (matches!(member.target, Target::Set(_)) && member.evaluate_target)
}

fn place_label(place: Place) -> String {
    match place {
        Place::Subdivision(part) => part.to_string(),
        Place::Country(country) => country.as_str().to_owned(),
        Place::Continent(continent) => continent.as_str().to_owned(),
        Place::Default => "default".to_owned(),
    }
}
