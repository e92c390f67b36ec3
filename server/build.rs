//! Takes the two files of Swagger UI that the page /docs needs out of the archive they come in.

use std::{
    env,
    error::Error,
    fs::File,
    io::{Cursor, copy},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};

const FILES: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR")?;
    let mut archive = zip::ZipArchive::new(Cursor::new(utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED))?;
    for file in FILES {
        let end = format!("/dist/{file}");
        let inside = archive
            .file_names()
            .filter(|name| name.ends_with(&end))
            .min_by_key(|name| name.len())
            .ok_or_else(|| format!("the archive of Swagger UI holds no {end}"))?
            .to_owned();
        let packed = File::create(Path::new(&out).join(format!("{file}.gz")))?;
        let mut packed = GzEncoder::new(packed, Compression::best());
        copy(&mut archive.by_name(&inside)?, &mut packed)?;
        packed.finish()?;
    }
    Ok(())
}
