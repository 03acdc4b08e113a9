//! `sealpod pull`.

use crate::cli::PullArgs;
use crate::image::registry::{self, Options};
use crate::ui::Ui;
use anyhow::{Result, bail};

/// Have an image in the cache and say where.
pub async fn pull(args: &PullArgs) -> Result<u8> {
    let mut ui = Ui::new(false, args.json || args.quiet);
    let options = Options::from_environment(args.dangerous_insecure_registry)?;
    let Some(pulled) = registry::pull_named(&args.image, &options, &mut ui).await? else {
        bail!(
            "image {:?} is a path, nothing to pull; `run` and `policy generate` take it as it is",
            args.image
        );
    };
    ui.settle();
    let layout = args.output.as_ref().unwrap_or(&pulled.layout);
    if let Some(output) = &args.output {
        registry::export(&pulled.layout, output)?;
    }
    if args.json {
        println!("{}", serde_json::json!({"image": pulled.reference, "layout": layout}));
    } else if args.quiet {
        println!("{}", layout.display());
    } else {
        println!("{}", pulled.reference);
        println!("layout: {}", layout.display());
        println!(
            "next: `sealpod-images reference-values --oci {} -o image.json`, then `sealpod run … {}`",
            layout.display(),
            pulled.reference
        );
    }
    Ok(0)
}
