//! Where evidence is kept, and how much of it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use url::Url;

use super::Settings;

const GIB: u64 = 1024 * 1024 * 1024;
/// Of the disk that uploads are on, so much stays free for the database beside them.
const KEEP_FREE_BYTES: u64 = GIB;

#[derive(Clone, Debug)]
pub struct EvidenceSettings {
    /// Uploads under way, and the bundles unless a service keeps them.
    pub directory: PathBuf,
    pub place: EvidencePlace,
    pub quota_bytes: u64,
    pub keep_free_bytes: u64,
}

#[derive(Clone, Debug)]
pub enum EvidencePlace {
    Directory,
    S3(S3),
}

/// A service that speaks S3.
#[derive(Clone, Debug)]
pub struct S3 {
    pub bucket: String,
    /// `None`: Amazon's own, in the region.
    pub endpoint: Option<Url>,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: SecretString,
}

impl EvidenceSettings {
    /// `secret`: from the environment; wins over the file's.
    pub(super) fn resolve(
        set: &Settings,
        state_dir: &Path,
        secret: Option<SecretString>,
    ) -> anyhow::Result<Self> {
        let quota_gib = set.evidence_quota_gib.unwrap_or(20);
        if !(1..=1_000_000).contains(&quota_gib) {
            bail!("evidence-quota-gib must be 1 to 1000000; it is {quota_gib}");
        }
        let directory = set.evidence_dir.clone().unwrap_or_else(|| state_dir.join("evidence"));
        let directory = std::path::absolute(&directory)
            .with_context(|| format!("evidence-dir {} is no path", directory.display()))?;
        Ok(Self {
            directory,
            place: EvidencePlace::resolve(set, secret)?,
            quota_bytes: quota_gib * GIB,
            keep_free_bytes: KEEP_FREE_BYTES,
        })
    }
}

impl EvidencePlace {
    fn resolve(set: &Settings, secret: Option<SecretString>) -> anyhow::Result<Self> {
        let secret = secret.or_else(|| set.evidence_s3_secret_access_key.clone());
        let Some(bucket) = set.evidence_s3_bucket.clone() else {
            let stray = [
                ("evidence-s3-endpoint", set.evidence_s3_endpoint.is_some()),
                ("evidence-s3-region", set.evidence_s3_region.is_some()),
                ("evidence-s3-access-key-id", set.evidence_s3_access_key_id.is_some()),
            ];
            if let Some((name, _)) = stray.iter().find(|(_, is_set)| *is_set) {
                bail!("{name} is set and evidence-s3-bucket is not: set both, or neither");
            }
            return Ok(Self::Directory);
        };
        let endpoint = set.evidence_s3_endpoint.clone();
        if let Some(url) = &endpoint
            && (!matches!(url.scheme(), "http" | "https") || url.host().is_none())
        {
            bail!("evidence-s3-endpoint must be http:// or https:// with a host; it is {url}");
        }
        Ok(Self::S3(S3 {
            bucket,
            endpoint,
            region: set.evidence_s3_region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
            access_key_id: set
                .evidence_s3_access_key_id
                .clone()
                .context("evidence-s3-bucket is set and evidence-s3-access-key-id is not")?,
            secret_access_key: secret.context(
                "evidence-s3-bucket is set and its secret is not: set VOLTAXE_EVIDENCE_S3_SECRET_ACCESS_KEY, or \
                 evidence_s3_secret_access_key in the config file",
            )?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn resolved(set: Settings) -> anyhow::Result<EvidenceSettings> {
        Ok(Config::resolve(set, None, None)?.evidence)
    }

    #[test]
    fn evidence_is_kept_in_the_state_directory_up_to_20_gib() {
        let set = Settings { state_dir: Some("/srv/vx".into()), ..Settings::default() };
        let evidence = resolved(set).unwrap();
        assert_eq!(evidence.directory, Path::new("/srv/vx/evidence"));
        assert_eq!(evidence.quota_bytes, 20 << 30);
        assert!(matches!(evidence.place, EvidencePlace::Directory));
    }

    #[test]
    fn a_bucket_needs_its_key_and_the_secret_is_never_shown() {
        let bucket = Settings { evidence_s3_bucket: Some("b".to_owned()), ..Settings::default() };
        let error = resolved(bucket.clone()).unwrap_err().to_string();
        assert!(error.contains("evidence-s3-access-key-id"), "{error}");
        let keyed = Settings { evidence_s3_access_key_id: Some("id".to_owned()), ..bucket };
        let error = resolved(keyed.clone()).unwrap_err().to_string();
        assert!(error.contains("VOLTAXE_EVIDENCE_S3_SECRET_ACCESS_KEY"), "{error}");
        let config = Config::resolve(keyed, None, Some(SecretString::from("hunter2"))).unwrap();
        assert!(matches!(config.evidence.place, EvidencePlace::S3(_)));
        assert!(!format!("{config:?}").contains("hunter2"));
        let stray = Settings { evidence_s3_region: Some("r".to_owned()), ..Settings::default() };
        assert!(resolved(stray).unwrap_err().to_string().contains("evidence-s3-bucket"));
    }
}
