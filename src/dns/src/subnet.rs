//! EDNS Client Subnet (RFC 7871): a resolver's word on where its client is.

use domain::base::iana::OptionCode;
use domain::base::message_builder::OptBuilder;
use domain::base::opt::{ClientSubnet, ComposeOptData};
use domain::base::wire::Composer;
use domain::dep::octseq::Parser;
use std::net::IpAddr;

/// What a query's option says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subnet {
    /// The client is in this network.
    Of(ClientSubnet),
    /// Family 0 without an address: the client tells nothing, and no family to tell it in.
    Nothing,
}

impl Subnet {
    /// Reads the option's data. None if it must be answered by FORMERR: another family, too few or too
    /// many octets, bits beyond the prefix, or a scope, which only answers have (section 7.2.1).
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        if data == [0, 0, 0, 0] {
            return Some(Subnet::Nothing);
        }
        let subnet = ClientSubnet::parse(&mut Parser::from_ref(&data)).ok()?;
        (subnet.scope_prefix_len() == 0).then_some(Subnet::Of(subnet))
    }

    /// The address to look up; none if the client wants its answer tailored to nobody (section 7.1.2).
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self {
            Subnet::Of(subnet) if subnet.source_prefix_len() > 0 => Some(subnet.addr()),
            Subnet::Of(_) | Subnet::Nothing => None,
        }
    }

    /// The length of the option in an answer, its head included.
    pub(crate) fn length(&self) -> usize {
        match self {
            Subnet::Of(subnet) => 4 + usize::from(subnet.compose_len()),
            Subnet::Nothing => 8,
        }
    }

    /// Writes the option of an answer: what was asked, and the network for which the answer holds.
    pub(crate) fn write<T: Composer>(
        &self,
        scope: u8,
        opt: &mut OptBuilder<'_, T>,
    ) -> Result<(), T::AppendError> {
        match self {
            Subnet::Of(subnet) => opt.client_subnet(subnet.source_prefix_len(), scope, subnet.addr()),
            Subnet::Nothing => {
                opt.push_raw_option(OptionCode::CLIENT_SUBNET, 4, |target| target.append_slice(&[0; 4]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_exactly_right_is_refused() {
        let right: [&[u8]; 6] = [
            &[0, 1, 24, 0, 192, 0, 2],
            &[0, 1, 32, 0, 192, 0, 2, 1],
            &[0, 1, 0, 0],
            &[0, 2, 0, 0],
            &[0, 0, 0, 0],
            &[0, 2, 33, 0, 0x20, 1, 0xd, 0xb8, 0x80],
        ];
        for data in right {
            assert!(Subnet::read(data).is_some(), "{data:?}");
        }
        let wrong: [(&str, &[u8]); 11] = [
            ("nothing", &[]),
            ("no prefix", &[0, 1]),
            ("too few octets", &[0, 1, 24, 0, 192, 0]),
            ("too many octets", &[0, 1, 24, 0, 192, 0, 2, 0]),
            ("octets of no prefix", &[0, 1, 0, 0, 0]),
            ("a bit beyond the prefix", &[0, 1, 23, 0, 192, 0, 3]),
            ("a scope", &[0, 1, 24, 24, 192, 0, 2]),
            ("longer than an address", &[0, 1, 33, 0, 192, 0, 2, 1, 0]),
            (
                "longer than an IPv6 address",
                &[0, 2, 129, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0],
            ),
            ("family 3", &[0, 3, 0, 0]),
            ("no family, but an address", &[0, 0, 8, 0, 10]),
        ];
        for (fault, data) in wrong {
            assert_eq!(Subnet::read(data), None, "{fault}");
        }
    }
}
