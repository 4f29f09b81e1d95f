//! A product's picture: stored as it was uploaded, made small by a job.
//!
//! Decoding and scaling is work for the processor, so the handler is a plain function: it runs on a
//! blocking thread, as many at once as the machine has cores, and holds up none of the async ones.

use std::io::Cursor;

use haulage::{Ctx, Job, JobError, Outcome};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgba, RgbaImage, imageops};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::runtime::Handle;

use crate::problem::Problem;

/// An upload, in bytes.
pub(crate) const MOST_BYTES: usize = 8 << 20;

/// What is decoded, in pixels: 8 MiB can hold a picture that is far too big for the memory.
const MOST_PIXELS: u32 = 8_192;

/// A thumbnail fits into this, in pixels.
const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;

/// Makes the thumbnail of an uploaded picture.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Thumbnail {
    pub(crate) picture: i64,
}

impl Job for Thumbnail {
    const KIND: &'static str = "thumbnail";
    const QUEUE: &'static str = "pictures";
    const MAX_ATTEMPTS: u16 = 5;
}

/// The job's output.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bytes: usize,
}

pub(crate) fn make_thumbnail(job: Thumbnail, ctx: Ctx) -> Result<Outcome, JobError> {
    // A blocking thread may wait for what is async.
    let runtime = Handle::current();
    let original: Option<Vec<u8>> = runtime
        .block_on(sqlx::query_scalar("SELECT original FROM shop.pictures WHERE id = $1").bind(job.picture).fetch_optional(ctx.pool()))?;
    let Some(original) = original else {
        return Err(JobError::fatal(format!("picture {} does not exist", job.picture)));
    };

    // What can't be read today can't be read tomorrow: no retry.
    let picture = read(original).map_err(JobError::fatal)?;
    ctx.progress(50, format!("{} × {} pixels read", picture.width(), picture.height()));
    // A thread can't be dropped: between two steps it asks whether it should stop.
    if ctx.is_cancelled() {
        return Err(JobError::from("stopped"));
    }
    let (small, made) = shrink(&picture)?;

    runtime.block_on(async {
        let mut tx = ctx.begin().await?;
        sqlx::query("UPDATE shop.pictures SET thumbnail = $2 WHERE id = $1").bind(job.picture).bind(small).execute(&mut *tx).await?;
        ctx.set_output(&made)?;
        ctx.complete(tx).await
    })
}

/// Decodes a picture the right way up.
fn read(bytes: Vec<u8>) -> Result<DynamicImage, image::ImageError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_PIXELS);
    limits.max_image_height = Some(MOST_PIXELS);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    // Cameras store how they were held.
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// A small JPEG; what was transparent is white.
fn shrink(picture: &DynamicImage) -> Result<(Vec<u8>, Made), image::ImageError> {
    let fits = picture.width() <= WIDTH && picture.height() <= HEIGHT;
    let small = if fits { picture.to_rgba8() } else { picture.thumbnail(WIDTH, HEIGHT).to_rgba8() };
    let (width, height) = small.dimensions();
    let mut page = RgbaImage::from_pixel(width, height, Rgba([255; 4]));
    imageops::overlay(&mut page, &small, 0, 0);
    let mut jpeg = Cursor::new(Vec::new());
    DynamicImage::ImageRgba8(page).to_rgb8().write_to(&mut jpeg, ImageFormat::Jpeg)?;
    let jpeg = jpeg.into_inner();
    let made = Made { width, height, bytes: jpeg.len() };
    Ok((jpeg, made))
}

/// Stores an upload and enqueues its thumbnail, all or nothing. Returns the picture's number and its
/// job.
pub(crate) async fn store(pool: &PgPool, product: i32, bytes: &[u8]) -> Result<(i64, haulage::JobId), Problem> {
    // A look at the first bytes; the rest is the job's work.
    if !matches!(image::guess_format(bytes), Ok(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err(Problem::bad("That is no picture; send a PNG or a JPEG."));
    }
    let mut tx = pool.begin().await?;
    let picture: i64 = sqlx::query_scalar(
        "INSERT INTO shop.pictures (product_id, original)
         SELECT id, $2 FROM shop.products WHERE id = $1
         RETURNING id",
    )
    .bind(product)
    .bind(bytes)
    .fetch_optional(&mut *tx)
    .await?
    .ok_or_else(|| Problem::not_found("There is no such product."))?;
    let job = Thumbnail { picture }.enqueue(&mut *tx).await?.id();
    sqlx::query("UPDATE shop.pictures SET job = $2 WHERE id = $1").bind(picture).bind(job.0).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok((picture, job))
}
