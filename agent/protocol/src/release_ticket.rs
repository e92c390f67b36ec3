//! The break-glass ticket: gives an isolated host its network back without the server.
//!
//! A ticket is good for one host and one isolation. It carries the signature alone, 103 characters that can be typed: what is
//! signed the agent knows itself.

use serde::{Deserialize, Serialize};

use crate::{CommandId, EndpointId, Epoch};

/// The signed content ([`crate::PayloadType::Release`]).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ReleaseClaims {
    pub endpoint_id: EndpointId,
    pub epoch: Epoch,
    /// The command whose rules are in force.
    pub generation: CommandId,
}

#[cfg(feature = "crypto")]
pub use crypto::ReleaseTicket;

#[cfg(feature = "crypto")]
mod crypto {
    use std::{fmt, str::FromStr, sync::LazyLock};

    use data_encoding::{Encoding, Specification};

    use super::ReleaseClaims;
    use crate::{IdError, Keypair, PayloadType, PublicKey, pre_authentication_encoding};

    const PREFIX: &str = "VXR1";
    const GROUP: usize = 8;

    /// Crockford's base 32: no letters that are mistaken for others, and mistakes are read as what was meant.
    static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
        let mut specification = Specification::new();
        specification.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
        specification.translate.from.push_str("OILabcdefghjkmnpqrstvwxyzoil");
        specification.translate.to.push_str("011ABCDEFGHJKMNPQRSTVWXYZ011");
        specification.ignore.push_str("- \t\r\n");
        specification.encoding().expect("the alphabet has 32 symbols, and none twice")
    });

    /// Its text is a secret: whoever has it can end the isolation at the host's console.
    #[derive(Clone, Eq, PartialEq)]
    pub struct ReleaseTicket([u8; 64]);

    impl ReleaseTicket {
        #[must_use]
        pub fn sign(claims: &ReleaseClaims, key: &Keypair) -> Self {
            Self(key.sign(&signed(claims)))
        }

        #[must_use]
        pub fn is_for(&self, claims: &ReleaseClaims, key: &PublicKey) -> bool {
            key.verifies(&signed(claims), &self.0)
        }

        /// `VXR1-` and groups of 8 characters.
        #[must_use]
        pub fn reveal(&self) -> String {
            let mut text = PREFIX.to_owned();
            for (index, symbol) in BASE32.encode(&self.0).chars().enumerate() {
                if index % GROUP == 0 {
                    text.push('-');
                }
                text.push(symbol);
            }
            text
        }
    }

    impl fmt::Debug for ReleaseTicket {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ReleaseTicket(..)")
        }
    }

    impl FromStr for ReleaseTicket {
        type Err = IdError;

        fn from_str(text: &str) -> Result<Self, IdError> {
            let malformed = IdError("a release ticket is VXR1- and 103 letters and digits in groups of 8");
            let text = text.trim();
            let rest = match text.get(..PREFIX.len()) {
                Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &text[PREFIX.len()..],
                _ => return Err(malformed),
            };
            let bytes = BASE32.decode(rest.as_bytes()).map_err(|_| malformed)?;
            bytes.try_into().map(Self).map_err(|_| malformed)
        }
    }

    fn signed(claims: &ReleaseClaims) -> Vec<u8> {
        let payload = serde_json::to_vec(claims).expect("our wire types have a JSON form");
        pre_authentication_encoding(PayloadType::Release.as_str(), &payload)
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::{CommandId, EndpointId, Epoch};

        #[test]
        fn a_ticket_is_for_one_host_and_one_isolation() {
            let (key, other) = (Keypair::from_seed(&[1; 32]), Keypair::from_seed(&[2; 32]));
            let claims = ReleaseClaims {
                endpoint_id: EndpointId::of_key(&other.public()),
                epoch: Epoch(1),
                generation: CommandId(7),
            };
            let ticket = ReleaseTicket::sign(&claims, &key);
            let typed =
                ticket.reveal().to_lowercase().replace('-', " ").replacen(' ', "-", 1).replace('0', "o");
            let read: ReleaseTicket = typed.parse().unwrap();
            assert!(read.is_for(&claims, &key.public()));
            assert!(!read.is_for(&claims, &other.public()));
            assert!(
                !read.is_for(&ReleaseClaims { generation: CommandId(8), ..claims.clone() }, &key.public())
            );
            assert!(!read.is_for(&ReleaseClaims { epoch: Epoch(2), ..claims }, &key.public()));
            assert_eq!(format!("{ticket:?}"), "ReleaseTicket(..)");
        }

        #[test]
        fn other_texts_are_no_tickets() {
            for text in ["", "VXR1", "VXR1-", "VXR2-0000", "VXR1-UUUU", "vxe1.abc", "é"] {
                assert!(text.parse::<ReleaseTicket>().is_err(), "{text}");
            }
        }
    }
}
