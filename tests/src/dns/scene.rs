//! One zone that every server here can answer, each in its own words.

use std::net::Ipv4Addr;

/// A zone with three names of one service:
/// - `api`: clients of a member's countries get that member, all others a draw by weight;
/// - `spread`: the draw for everyone;
/// - `plain`: the first member, whatever happens.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The zone: `example.com`.
    pub zone: String,
    /// The time to live of every answer, in seconds.
    pub ttl: u32,
    /// The members, in the order of their fallback.
    pub members: Vec<Member>,
}

/// What stands for a region.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name: lower-case letters.
    pub name: String,
    /// What is answered for it.
    pub address: Ipv4Addr,
    /// Its part of the draw.
    pub weight: u32,
    /// Its clients, as continent and country: `("AS", "TW")`.
    pub countries: Vec<(String, String)>,
}

impl Scene {
    /// The reference deployment: Taiwan 60, Japan 40.
    pub fn of_two_regions() -> Self {
        let member = |name: &str, address: [u8; 4], weight, country: &str| Member {
            name: name.to_owned(),
            address: address.into(),
            weight,
            countries: vec![("AS".to_owned(), country.to_owned())],
        };
        Scene {
            zone: "example.com".to_owned(),
            ttl: 60,
            members: vec![
                member("taiwan", [192, 0, 2, 10], 60, "TW"),
                member("japan", [198, 51, 100, 10], 40, "JP"),
            ],
        }
    }
}
