//! Secrets and signatures. A webhook's secret is made of the server's key, the webhook's id and a number, so that none is stored.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use sha2::Sha256;
use uuid::Uuid;
use voltaxe_protocol::Keypair;
use voltaxe_store::ClaimedDelivery;

use crate::model::DeliveryId;

/// After a rotation messages are signed with the secret before it, too, for this long.
pub const ROTATED_SECRET_HOLDS: TimeDelta = TimeDelta::hours(24);

const PURPOSE: &[u8] = b"voltaxe webhook secret, version 1";

pub(super) fn secret(key: &Keypair, webhook: Uuid, number: i32) -> [u8; 32] {
    let mut secret = [0; 32];
    Hkdf::<Sha256>::new(None, &key.to_seed())
        .expand_multi_info(&[PURPOSE, webhook.as_bytes(), &number.to_be_bytes()], &mut secret)
        .expect("HKDF-SHA256 gives up to 8160 bytes");
    secret
}

/// As receivers take it.
pub(super) fn shown(secret: &[u8; 32]) -> SecretString {
    format!("whsec_{}", STANDARD.encode(secret)).into()
}

/// The newest first.
pub(super) fn secrets(key: &Keypair, of: &ClaimedDelivery, now: DateTime<Utc>) -> Vec<[u8; 32]> {
    let holds = of.rotated_at.is_some_and(|at| now - at < ROTATED_SECRET_HOLDS);
    let before = (holds && of.secret_number > 1).then_some(of.secret_number - 1);
    [Some(of.secret_number), before]
        .into_iter()
        .flatten()
        .map(|number| secret(key, of.webhook_id.0, number))
        .collect()
}

/// One signature a secret: `v1,BASE64 v1,BASE64`.
pub(super) fn header(secrets: &[[u8; 32]], id: DeliveryId, timestamp: i64, body: &str) -> String {
    let signatures = secrets.iter().map(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WebhookId;

    fn claimed(secret_number: i32, rotated_at: Option<DateTime<Utc>>) -> ClaimedDelivery {
        ClaimedDelivery {
            id: DeliveryId(Uuid::nil()),
            webhook_id: WebhookId(Uuid::nil()),
            webhook: String::new(),
            url: String::new(),
            secret_number,
            rotated_at,
            body: String::new(),
            attempt: 1,
        }
    }

    #[test]
    fn every_webhook_and_number_has_a_secret_of_its_own() {
        let (key, other) = (Keypair::from_seed(&[1; 32]), Keypair::from_seed(&[2; 32]));
        let all = [
            secret(&key, Uuid::nil(), 1),
            secret(&key, Uuid::nil(), 2),
            secret(&key, Uuid::max(), 1),
            secret(&other, Uuid::nil(), 1),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != one));
        }
        assert_eq!(secret(&key, Uuid::nil(), 1), all[0]);
    }

    #[test]
    fn the_secret_before_signs_for_a_day() {
        let key = Keypair::from_seed(&[1; 32]);
        let now = DateTime::UNIX_EPOCH;
        let count = |number, ago| {
            let rotated_at = Some(now - TimeDelta::hours(ago));
            secrets(&key, &claimed(number, rotated_at), now).len()
        };
        assert_eq!((count(2, 23), count(2, 25), count(1, 1)), (2, 1, 1));
        assert_eq!(secrets(&key, &claimed(1, None), now).len(), 1);
    }

    /// With what OpenSSL makes of the same: `printf %s ID.TIMESTAMP.BODY | openssl dgst -sha256 -mac HMAC -macopt hexkey:..`.
    #[test]
    fn the_signature_is_over_id_time_and_body() {
        let header = header(&[[0x2a; 32]], DeliveryId(Uuid::nil()), 1_700_000_000, r#"{"a":1}"#);
        assert_eq!(header, "v1,EcoJjzz5r8MEwKtx8RGUAGixiqSLOwv3PuWG+dUs2Pc=");
    }
}
