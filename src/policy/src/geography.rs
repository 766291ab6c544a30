//! Countries and continents, as ISO codes.
//!
//! Which continent a country lies in follows Route 53, so that the edge and the DNS layer agree
//! with whoever moves over from it: Turkey and Cyprus are Europe; Georgia, Armenia and Azerbaijan Asia.

use std::fmt;

/// An ISO 3166-1 alpha-2 country code, kept in upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// How many codes of two letters there are; the size of a table by [`Country::index`].
    pub const CODES: usize = 26 * 26;

    /// Two letters in any case; anything else is no country.
    pub fn parse(code: &[u8]) -> Option<Self> {
        match code {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Country([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    /// A number below [`Country::CODES`].
    pub fn index(self) -> usize {
        let [a, b] = self.0;
        usize::from(a.wrapping_sub(b'A')) * 26 + usize::from(b.wrapping_sub(b'A'))
    }

    /// The continent it lies in; none for codes that no list assigns.
    pub fn continent(self) -> Option<Continent> {
        BY_COUNTRY.get(self.index()).copied().flatten()
    }

    /// The code in upper case.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A continent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Continent {
    Africa,
    Antarctica,
    Asia,
    Europe,
    NorthAmerica,
    Oceania,
    SouthAmerica,
}

impl Continent {
    /// How many there are; the size of a table by [`Continent::index`].
    pub const COUNT: usize = 7;

    /// One of `AF AN AS EU NA OC SA`, in any case.
    pub fn parse(code: &[u8]) -> Option<Self> {
        let [a, b] = code else { return None };
        Some(match (a.to_ascii_uppercase(), b.to_ascii_uppercase()) {
            (b'A', b'F') => Continent::Africa,
            (b'A', b'N') => Continent::Antarctica,
            (b'A', b'S') => Continent::Asia,
            (b'E', b'U') => Continent::Europe,
            (b'N', b'A') => Continent::NorthAmerica,
            (b'O', b'C') => Continent::Oceania,
            (b'S', b'A') => Continent::SouthAmerica,
            _ => return None,
        })
    }

    /// The code in upper case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Continent::Africa => "AF",
            Continent::Antarctica => "AN",
            Continent::Asia => "AS",
            Continent::Europe => "EU",
            Continent::NorthAmerica => "NA",
            Continent::Oceania => "OC",
            Continent::SouthAmerica => "SA",
        }
    }

    /// The countries that lie in it.
    pub fn countries(self) -> impl Iterator<Item = Country> {
        let listed = CONTINENTS.iter().find(|(continent, _)| *continent == self);
        listed
            .into_iter()
            .flat_map(|(_, codes)| codes.split(' '))
            .filter_map(|code| Country::parse(code.as_bytes()))
    }

    /// A number below [`Continent::COUNT`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// [`CONTINENTS`] by [`Country::index`]: DNS looks a client's continent up with each answer.
#[allow(clippy::indexing_slicing, reason = "the compiler runs it: an index out of range would not build")]
const BY_COUNTRY: [Option<Continent>; Country::CODES] = {
    let mut table = [None; Country::CODES];
    let mut row = 0;
    while row < CONTINENTS.len() {
        let (continent, codes) = CONTINENTS[row];
        let codes = codes.as_bytes();
        let mut at = 0;
        while at < codes.len() {
            // Codes of two letters, each with a space after it.
            let index = (codes[at] - b'A') as usize * 26 + (codes[at + 1] - b'A') as usize;
            table[index] = Some(continent);
            at += 3;
        }
        row += 1;
    }
    table
};

const CONTINENTS: [(Continent, &str); 7] = [
    (
        Continent::Africa,
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU \
         MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
    ),
    (Continent::Antarctica, "AQ GS TF"),
    (
        Continent::Asia,
        "AE AF AM AZ BD BH BN BT CC CN GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO \
         MV MY NP OM PH PK PS QA SA SG SY TH TJ TM TW UZ VN YE",
    ),
    (
        Continent::Europe,
        "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU \
         LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM TR UA VA XK",
    ),
    (
        Continent::NorthAmerica,
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM \
         PR SV SX TC TT US VC VG VI",
    ),
    (Continent::Oceania, "AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS"),
    (Continent::SouthAmerica, "AR BO BR CL CO EC FK GF GY PE PY SR UY VE"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_compare_without_case() {
        assert_eq!(Country::parse(b"tw"), Country::parse(b"TW"));
        for bad in [&b""[..], b"T", b"TWN", b"T1", b"\xff\xfe", b"T "] {
            assert_eq!(Country::parse(bad), None);
        }
    }

    #[test]
    fn every_code_has_one_continent_and_its_own_index() {
        let mut seen = std::collections::BTreeSet::new();
        for (continent, codes) in CONTINENTS {
            for code in codes.split(' ') {
                let country = Country::parse(code.as_bytes()).expect(code);
                assert!(seen.insert(country.index()), "{code} is listed twice");
                assert_eq!(country.continent(), Some(continent), "{code}");
            }
        }
        for (continent, _) in CONTINENTS {
            assert_eq!(Continent::parse(continent.as_str().as_bytes()), Some(continent));
        }
        assert!(seen.len() > 230, "only {} codes", seen.len());
        assert!(seen.iter().all(|index| *index < Country::CODES));
        let listed: usize = CONTINENTS.iter().map(|(continent, _)| continent.countries().count()).sum();
        assert_eq!(listed, seen.len());
    }

    #[test]
    fn the_borderline_countries_follow_route_53() {
        for (code, continent) in
            [("TR", Continent::Europe), ("CY", Continent::Europe), ("GE", Continent::Asia)]
        {
            assert_eq!(Country::parse(code.as_bytes()).and_then(Country::continent), Some(continent));
        }
        assert_eq!(Country::parse(b"ZZ").and_then(Country::continent), None);
    }
}
