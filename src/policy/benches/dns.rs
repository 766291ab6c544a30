//! What choosing one DNS answer costs: under 200 ns with 2 members, whatever the policy.

use criterion::{Criterion, criterion_group, criterion_main};
use evenkeel_policy::dns::{
    CheckId, Client, Latencies, Member, Place, Policy, Records, Set, SetId, Target, ValueId,
};
use evenkeel_policy::geography::{Continent, Country};
use evenkeel_policy::region::RegionId;
use std::hint::black_box;

/// Members that claim a country each and the continent together, and a set of them for everyone else.
fn records(policy: Policy, count: usize) -> Records {
    let country = |at: usize| Country::parse(&[b'J' + (at % 16) as u8, b'P']).expect("two letters");
    let member = |at: usize| Member {
        check: Some(CheckId(at as u16)),
        weight: 1 + at as u32,
        places: vec![Place::Country(country(at))],
        region: RegionId::new(at),
        primary: at == 0,
        ..Member::new(Target::Value(ValueId(at as u16)))
    };
    let members: Vec<Member> = (0..count).map(member).collect();
    let mut first = members.clone();
    if policy == Policy::Geolocation {
        first.push(Member { places: vec![Place::Default], ..Member::new(Target::Set(SetId(1))) });
    }
    let rows = vec![
        (Place::Default, vec![Some(100); count]),
        (Place::Continent(Continent::Asia), (0..count).map(|at| Some(50 - at as u32)).collect()),
    ];
    let sets = vec![Set { policy, members: first }, Set { policy: Policy::Weighted, members }];
    Records::try_new(sets, Latencies { rows }).expect("sound sets")
}

fn choose(c: &mut Criterion) {
    for count in [2, 16] {
        for policy in
            [Policy::Weighted, Policy::Geolocation, Policy::Latency, Policy::Failover, Policy::Multivalue]
        {
            let records = records(policy, count);
            // Taiwan is nobody's own here: geolocation goes on to the second set.
            let client = Client::of(Country::parse(b"TW").expect("a country"));
            for (word, shares) in [
                ("all_well", vec![100; count]),
                ("first_out", {
                    let mut shares = vec![100; count];
                    shares[0] = 0;
                    shares
                }),
            ] {
                let mut random = 0u64;
                c.bench_function(&format!("dns/{}/{count}/{word}", policy.as_str()), |b| {
                    b.iter(|| {
                        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
                        black_box(&records).choose(SetId(0), black_box(&client), &shares, random, &mut ())
                    });
                });
            }
        }
    }
}

criterion_group!(benches, choose);
criterion_main!(benches);
