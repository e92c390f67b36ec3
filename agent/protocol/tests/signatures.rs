//! What must verify does, and nothing else does.
#![cfg(feature = "crypto")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use proptest::prelude::*;
use voltaxe_protocol::{
    CommandOrder, EndpointId, EnrolString, EnrolStringError, Envelope, EnvelopeError, Keypair, PayloadType,
    PollKey, PublicKey, RequestParts, RequestSignature, RequestSignatureError, SignatureAlgorithm,
    content_digest, pre_authentication_encoding, sign_poll, sign_request, signature_base, verify_poll,
    verify_request,
};

const ORDER: &str = include_str!("../fixtures/order_isolate.json");

fn key(seed: u8) -> Keypair {
    Keypair::from_seed(&[seed; 32])
}

fn order() -> CommandOrder {
    serde_json::from_str(ORDER).unwrap()
}

fn sealed() -> Envelope {
    Envelope::seal(PayloadType::Command, &order(), &key(1))
}

#[test]
fn the_encoding_is_dsses() {
    assert_eq!(
        pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
}

#[test]
fn an_envelope_opens_with_its_key_and_type_only() {
    let opened: CommandOrder = sealed().open(PayloadType::Command, &key(1).public()).unwrap();
    assert_eq!(opened, order());
    let open = |envelope: &Envelope, kind, key: &Keypair| envelope.open::<CommandOrder>(kind, &key.public());
    assert_eq!(open(&sealed(), PayloadType::Command, &key(2)), Err(EnvelopeError::BadSignature));
    assert_eq!(open(&sealed(), PayloadType::Hello, &key(1)), Err(EnvelopeError::WrongType));
    let renamed = Envelope { payload_type: PayloadType::Hello.as_str().to_owned(), ..sealed() };
    assert_eq!(open(&renamed, PayloadType::Hello, &key(1)), Err(EnvelopeError::BadSignature));
    let unsigned = Envelope { signatures: vec![], ..sealed() };
    assert_eq!(open(&unsigned, PayloadType::Command, &key(1)), Err(EnvelopeError::SignatureCount));
}

#[test]
fn the_same_order_is_sealed_to_the_same_bytes() {
    assert_eq!(sealed(), sealed());
}

#[test]
fn weak_keys_are_no_keys() {
    assert!(PublicKey::from_bytes(&[0; 32]).is_err());
    let mut identity = [0; 32];
    identity[0] = 1;
    assert!(PublicKey::from_bytes(&identity).is_err());
    assert!(PublicKey::from_bytes(&[1; 31]).is_err());
}

fn signed_poll() -> (RequestSignature, String, PublicKey) {
    let key = key(3);
    let id = EndpointId::of_key(&key.public());
    let headers = sign_request(parts(""), b"body", id, &key, 1_000_000);
    (RequestSignature::parse_input(&headers.signature_input).unwrap(), headers.signature, key.public())
}

fn parts(content_digest: &str) -> RequestParts<'_> {
    RequestParts {
        method: "POST",
        authority: "a.example:8080",
        path: "/command/result",
        query: "?",
        content_digest,
    }
}

#[test]
fn every_covered_part_of_a_request_counts() {
    let (input, signature, key) = signed_poll();
    let digest = content_digest(b"body");
    let good = parts(&digest);
    let verify = |parts: &RequestParts<'_>, body: &[u8], input: &RequestSignature, now| {
        verify_request(parts, body, input, &signature, &key, now)
    };
    assert_eq!(verify(&good, b"body", &input, 1_000_060), Ok(()));
    assert_eq!(verify(&good, b"body", &input, 999_940), Ok(()));
    assert_eq!(verify(&good, b"body", &input, 1_000_061), Err(RequestSignatureError::Stale));
    assert_eq!(verify(&good, b"body", &input, 999_939), Err(RequestSignatureError::Stale));
    assert_eq!(verify(&good, b"other", &input, 1_000_000), Err(RequestSignatureError::DigestMismatch));
    for changed in [
        RequestParts { method: "GET", ..good },
        RequestParts { authority: "b.example:8080", ..good },
        RequestParts { path: "/telemetry", ..good },
        RequestParts { query: "?x", ..good },
    ] {
        assert_eq!(verify(&changed, b"body", &input, 1_000_000), Err(RequestSignatureError::BadSignature));
    }
    let younger = RequestSignature { created: input.created + 1, ..input.clone() };
    assert_eq!(verify(&good, b"body", &younger, 1_000_000), Err(RequestSignatureError::BadSignature));
    let renonced = RequestSignature { nonce: "A".repeat(22), ..input };
    assert_eq!(verify(&good, b"body", &renonced, 1_000_000), Err(RequestSignatureError::BadSignature));
}

#[test]
fn both_sides_derive_the_same_poll_key_and_nobody_else_does() {
    let [agent, server, other] = [key(3), key(4), key(5)];
    let shared = PollKey::of_agent(&agent, &server.public());
    assert_eq!(shared, PollKey::of_server(&server, &agent.public()));
    for strange in [
        PollKey::of_agent(&agent, &other.public()),
        PollKey::of_server(&server, &other.public()),
        PollKey::of_agent(&other, &server.public()),
        // The same agreement with the roles exchanged.
        PollKey::of_server(&agent, &server.public()),
    ] {
        assert_ne!(shared, strange);
    }
    assert_eq!(format!("{shared:?}"), "PollKey(..)");
}

/// What an agent sends with `GET /command/poll?host=web-01`: no version may change it.
#[test]
fn a_polls_signature_is_frozen() {
    let (agent, server) = (key(3), key(4));
    let signature = RequestSignature {
        created: 1_000_000,
        nonce: "A".repeat(22),
        keyid: EndpointId::of_key(&agent.public()),
        alg: SignatureAlgorithm::HmacSha256,
    };
    let input = signature.input();
    assert_eq!(RequestSignature::parse_input(&input).unwrap(), signature);
    assert_eq!(
        input,
        "sig1=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=1000000;\
         nonce=\"AAAAAAAAAAAAAAAAAAAAAA\";keyid=\"ep_b62e867fa2f33afe62d5d6b1642e1621\";alg=\"hmac-sha256\""
    );
    let digest = content_digest(b"");
    let poll = RequestParts {
        method: "GET",
        authority: "a.example:8080",
        path: "/command/poll",
        query: "?host=web-01",
        content_digest: &digest,
    };
    let tag = PollKey::of_agent(&agent, &server.public())
        .authenticate(signature_base(&poll, &signature).as_bytes());
    let tag = tag.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(tag, "dfa2f171682022d7df9af412d5216760dea44a8a892de9afdabc833e5d91ce3e");
}

#[test]
fn a_poll_verifies_by_its_own_key_and_algorithm_only() {
    let (agent, server) = (key(3), key(4));
    let shared = PollKey::of_agent(&agent, &server.public());
    let id = EndpointId::of_key(&agent.public());
    let poll = parts("");
    let headers = sign_poll(poll, id, &shared, 1_000_000);
    let input = RequestSignature::parse_input(&headers.signature_input).unwrap();
    let good = RequestParts { content_digest: &headers.content_digest, ..poll };
    let verify = |parts: &RequestParts<'_>, body: &[u8], input: &RequestSignature, key: &PollKey, now| {
        verify_poll(parts, body, input, &headers.signature, key, now)
    };
    assert_eq!(verify(&good, b"", &input, &shared, 1_000_060), Ok(()));
    assert_eq!(verify(&good, b"", &input, &shared, 1_000_061), Err(RequestSignatureError::Stale));
    assert_eq!(verify(&good, b"x", &input, &shared, 1_000_000), Err(RequestSignatureError::DigestMismatch));
    let bad = Err(RequestSignatureError::BadSignature);
    let another = PollKey::of_agent(&key(5), &server.public());
    assert_eq!(verify(&good, b"", &input, &another, 1_000_000), bad);
    let altered = RequestParts { query: "?host=web-02", ..good };
    assert_eq!(verify(&altered, b"", &input, &shared, 1_000_000), bad);
    let renonced = RequestSignature { nonce: "A".repeat(22), ..input.clone() };
    assert_eq!(verify(&good, b"", &renonced, &shared, 1_000_000), bad);
    let cut = "sig1=:AAAA:";
    assert_eq!(verify_poll(&good, b"", &input, cut, &shared, 1_000_000), bad);

    let wrong = Err(RequestSignatureError::WrongAlgorithm);
    assert_eq!(verify_request(&good, b"", &input, &headers.signature, &agent.public(), 1_000_000), wrong);
    let (of_identity, signature, _) = signed_poll();
    assert_eq!(verify_poll(&good, b"body", &of_identity, &signature, &shared, 1_000_000), wrong);
    let unknown = headers.signature_input.replace("hmac-sha256", "rsa-v1_5-sha256");
    assert_eq!(RequestSignature::parse_input(&unknown), Err(RequestSignatureError::WrongAlgorithm));
}

#[test]
fn an_enrol_string_says_which_part_is_wrong_and_never_what_it_holds() {
    let good = format!("vxe1.{}.{}@http://10.0.0.1:8080", "t".repeat(43), "f".repeat(43));
    assert_eq!(good.parse::<EnrolString>().unwrap().to_string(), good);
    let wrong = |text: &str| text.parse::<EnrolString>().unwrap_err();
    assert_eq!(wrong("hello"), EnrolStringError::Version);
    assert_eq!(wrong(&good.replace("ttt", "t")), EnrolStringError::Token);
    assert_eq!(wrong(&good.replace("fff", "f")), EnrolStringError::Fingerprint);
    assert_eq!(wrong(&good.replace("http", "ftp")), EnrolStringError::Url);
    assert_eq!(wrong(good.split_once('@').unwrap().0), EnrolStringError::Url);
}

proptest! {
    #[test]
    fn a_flipped_bit_anywhere_in_an_envelope_is_refused(byte in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let envelope = serde_json::to_vec(&sealed()).unwrap();
        let mut changed = envelope.clone();
        changed[byte.index(envelope.len())] ^= 1 << bit;
        let Ok(parsed) = serde_json::from_slice::<Envelope>(&changed) else { return Ok(()) };
        let opened = parsed.open::<CommandOrder>(PayloadType::Command, &key(1).public());
        // The key id is only a hint and covered by nothing.
        let untouched = Envelope { signatures: sealed().signatures, ..parsed.clone() } == sealed()
            && parsed.signatures[0].sig == sealed().signatures[0].sig;
        prop_assert!(opened.is_err() || untouched);
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in ".{0,200}") {
        let _ = RequestSignature::parse_input(&text);
        let _ = text.parse::<EnrolString>();
        let _ = text.parse::<EndpointId>();
    }
}
