//! Where a client is, and which places that makes it belong to.

use super::records::{Member, Place, Subdivision};
use crate::geography::{Continent, Country};

/// Where the client is, as far as anybody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// The part of the country.
    pub subdivision: Option<Subdivision>,
    /// The country.
    pub country: Option<Country>,
    /// The continent, where it does not follow from the country.
    pub continent: Option<Continent>,
}

impl Client {
    /// Someone in this country.
    pub fn of(country: Country) -> Self {
        Client { country: Some(country), ..Client::default() }
    }

    /// The country that was told, else the one its part lies in.
    fn country(&self) -> Option<Country> {
        self.country.or_else(|| self.subdivision.map(Subdivision::country))
    }

    /// The continent that was told, else the country's.
    pub fn continent(&self) -> Option<Continent> {
        self.continent.or_else(|| self.country().and_then(Country::continent))
    }

    /// How specific the place is for this client: 0 is the most; none if it is elsewhere (R9).
    pub(super) fn specificity(&self, place: &Place) -> Option<u8> {
        match place {
            Place::Subdivision(part) => (self.subdivision == Some(*part)).then_some(0),
            Place::Country(country) => (self.country() == Some(*country)).then_some(1),
            Place::Continent(continent) => (self.continent() == Some(*continent)).then_some(2),
            Place::Default => Some(3),
        }
    }

    /// The same of the member's most specific place: a geolocation record without one is no candidate.
    pub(super) fn claimed_by(&self, member: &Member) -> Option<u8> {
        member.places.iter().filter_map(|place| self.specificity(place)).min()
    }
}
