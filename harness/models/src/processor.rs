//! A checkpoint's image processor, from its `preprocessor_config.json` (or the `image_processor` table of `processor_config.json`).
//!
//! Keys that are not there have the defaults of transformers' processor of that kind. What would change a pixel and is not known
//! here is an error.

use std::fmt;

use data::{Filter, Fit, Preprocess};
use serde::Deserialize;
use serde_json::Value;

/// The kinds there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `CLIPImageProcessor`, `LlavaImageProcessor`.
    Clip,
    /// `BlipImageProcessor`.
    Blip,
    /// `Idefics3ImageProcessor`, `SmolVLMImageProcessor`.
    Idefics3,
    /// `ViltImageProcessor`.
    Vilt,
}

/// The keys that are read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Keys {
    do_resize: Option<bool>,
    size: Option<Size>,
    resample: Option<u8>,
    do_center_crop: Option<bool>,
    crop_size: Option<Size>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f32>,
    do_normalize: Option<bool>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    do_pad: Option<bool>,
    max_image_size: Option<Size>,
    do_image_splitting: Option<bool>,
    size_divisor: Option<u32>,
    image_processor_type: Option<String>,
}

impl Kind {
    /// What its table may be called, `Fast` left out.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Clip => &["CLIPImageProcessor", "LlavaImageProcessor"],
            Self::Blip => &["BlipImageProcessor"],
            Self::Idefics3 => &["Idefics3ImageProcessor", "SmolVLMImageProcessor"],
            Self::Vilt => &["ViltImageProcessor"],
        }
    }
}

/// `336`, or a table.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Number(u32),
    Table { shortest_edge: Option<u32>, longest_edge: Option<u32>, height: Option<u32>, width: Option<u32> },
}

/// Pixels on a side beyond which a file is not believed; transformers' own limit where it has one.
const MAX_SIDE: u32 = 4_096;

/// Means and deviations of pixels on [0, 1] or [0, 255] lie well below.
const MAX_NUMBER: f32 = 1_000.0;

/// More squares than a picture is cut into by any published processor (145).
const MAX_SQUARES: u32 = 1_024;

impl fmt::Display for Size {
    /// As the file has it: a number, or a table of the keys that are there.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(edge) => write!(out, "{edge}"),
            Self::Table { shortest_edge, longest_edge, height, width } => {
                let keys =
                    [("shortest_edge", shortest_edge), ("longest_edge", longest_edge), ("height", height), ("width", width)];
                let keys = keys.iter().filter_map(|(key, pixels)| pixels.map(|pixels| format!("\"{key}\": {pixels}")));
                write!(out, "{{{}}}", keys.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A key's size as a message shows it.
fn said(key: &str, size: Option<Size>) -> String {
    size.map_or_else(|| format!("no {key}"), |size| format!("{key} = {size}"))
}

impl Size {
    fn shortest(self) -> Option<u32> {
        match self {
            Self::Number(edge) => Some(edge),
            Self::Table { shortest_edge, longest_edge: None, .. } => shortest_edge,
            Self::Table { .. } => None,
        }
    }

    fn longest(self) -> Option<u32> {
        match self {
            Self::Table { shortest_edge: None, longest_edge, .. } => longest_edge,
            _ => None,
        }
    }

    fn square(self) -> Option<u32> {
        match self {
            Self::Number(edge) => Some(edge),
            Self::Table { height: Some(height), width: Some(width), .. } if height == width => Some(height),
            Self::Table { .. } => None,
        }
    }
}

/// The processor of a kind whose pictures must have `image_size` pixels on a side, from its table, or its defaults at that size.
/// The error is what is wrong with which key.
pub fn preprocess(kind: Kind, table: Option<&Value>, image_size: usize) -> Result<Preprocess, String> {
    let side = u32::try_from(image_size).ok().filter(|side| (1..=MAX_SIDE).contains(side));
    let side = side.ok_or_else(|| format!("vision_config.image_size = {image_size} (at most {MAX_SIDE} is believed)"))?;
    let keys = match table {
        Some(table) if table.is_object() => Keys::deserialize(table).map_err(|error| error.to_string())?,
        Some(_) => return Err("image_processor is no table".into()),
        None => Keys::default(),
    };
    if let Some(name) = &keys.image_processor_type
        && !kind.names().contains(&name.strip_suffix("Fast").or(name.strip_suffix("Pil")).unwrap_or(name))
    {
        return Err(format!("image_processor_type = \"{name}\" (known for such a model: {})", kind.names().join(", ")));
    }
    for (name, value) in [("do_resize", keys.do_resize), ("do_rescale", keys.do_rescale)] {
        if value == Some(false) {
            return Err(format!("{name} = false (pictures of any size must become numbers on [0, 1])"));
        }
    }
    let fit = match kind {
        Kind::Clip => clip(&keys, side)?,
        Kind::Blip => blip(&keys, side)?,
        Kind::Idefics3 => idefics3(&keys, side)?,
        Kind::Vilt => vilt(&keys, side)?,
    };
    let filter = match keys.resample.unwrap_or(if kind == Kind::Idefics3 { 1 } else { 3 }) {
        1 => Filter::Lanczos,
        2 => Filter::Bilinear,
        3 => Filter::Bicubic,
        other => return Err(format!("resample = {other} (1, 2 and 3 are known: Lanczos, bilinear, bicubic)")),
    };
    let clip = Preprocess::clip(image_size);
    let (mean, std) = if matches!(kind, Kind::Idefics3 | Kind::Vilt) { ([0.5; 3], [0.5; 3]) } else { (clip.mean, clip.std) };
    let (mean, std) = match keys.do_normalize {
        Some(false) => ([0.0; 3], [1.0; 3]),
        _ => (keys.image_mean.unwrap_or(mean), keys.image_std.unwrap_or(std)),
    };
    if !mean.iter().all(|mean| mean.abs() <= MAX_NUMBER) {
        return Err(format!("image_mean = {mean:?} (numbers between -{MAX_NUMBER} and {MAX_NUMBER})"));
    }
    if !std.iter().all(|std| (1.0 / MAX_NUMBER..=MAX_NUMBER).contains(std)) {
        return Err(format!("image_std = {std:?} (numbers above 0: between {} and {MAX_NUMBER})", 1.0 / MAX_NUMBER));
    }
    let rescale = keys.rescale_factor.unwrap_or(1.0 / 255.0);
    if !(1e-6..=1.0).contains(&rescale) {
        return Err(format!("rescale_factor = {rescale} (a number above 0: between 0.000001 and 1, mostly 1/255)"));
    }
    Ok(Preprocess { size: image_size, fit, filter, rescale, mean, std })
}

fn clip(keys: &Keys, side: u32) -> Result<Fit, String> {
    if keys.do_pad == Some(true) {
        return Err("do_pad = true (padding to a square is not known here)".into());
    }
    if keys.do_center_crop == Some(false) {
        return blip(keys, side);
    }
    let edge = keys.size.map_or(Some(side), Size::shortest).filter(|edge| (side..=MAX_SIDE).contains(edge));
    let edge = edge.ok_or_else(|| {
        format!("{} (its shortest_edge must be at least the {side} pixels of the tower)", said("size", keys.size))
    })?;
    match keys.crop_size.map_or(Some(side), Size::square) {
        Some(crop) if crop == side => Ok(Fit::CropCentre(edge)),
        _ => Err(format!("{} (the tower's pictures have {side} pixels on a side)", said("crop_size", keys.crop_size))),
    }
}

fn blip(keys: &Keys, side: u32) -> Result<Fit, String> {
    match keys.size.map_or(Some(side), Size::square) {
        Some(size) if size == side => Ok(Fit::Stretch),
        _ => Err(format!("{} (the tower's pictures have {side} pixels on a side)", said("size", keys.size))),
    }
}

fn idefics3(keys: &Keys, side: u32) -> Result<Fit, String> {
    let edge = keys.size.map_or(Some(4 * side), Size::longest).filter(|edge| (1..=MAX_SIDE).contains(edge));
    let edge = edge.ok_or_else(|| format!("{} (it must have a longest_edge up to {MAX_SIDE})", said("size", keys.size)))?;
    let squares = edge.div_ceil(side).pow(2);
    if keys.do_image_splitting != Some(false) && squares > MAX_SQUARES {
        return Err(format!("size {edge} in squares of {side} (a picture would be cut into {squares}; at most {MAX_SQUARES})"));
    }
    match keys.max_image_size.map_or(Some(side), Size::longest) {
        Some(size) if size == side => Ok(match keys.do_image_splitting {
            Some(false) => Fit::LongestThenStretch(edge),
            _ => Fit::LongestThenCut(edge),
        }),
        _ => Err(format!("{} (the tower's pictures have {side} pixels on a side)", said("max_image_size", keys.max_image_size))),
    }
}

/// The ratio of the longest edge to the shortest that ViLT's processor lets through, 1333 to 800.
const LONGEST: (f64, f64) = (1333.0, 800.0);

/// `side` is the patch's.
fn vilt(keys: &Keys, side: u32) -> Result<Fit, String> {
    match keys.size_divisor.unwrap_or(32) {
        divisor if divisor == side => {}
        divisor => return Err(format!("size_divisor = {divisor} (the model's patches have {side} pixels on a side)")),
    }
    let edge = keys.size.map_or(Some(384), Size::shortest).filter(|edge| (side..=MAX_SIDE).contains(edge));
    let edge =
        edge.ok_or_else(|| format!("{} (its shortest_edge must be from {side} to {MAX_SIDE})", said("size", keys.size)))?;
    let longest = (LONGEST.0 / LONGEST.1 * f64::from(edge)) as u32;
    let squares = (edge / side) * (longest / side);
    if squares > MAX_SQUARES {
        return Err(format!("size {edge} in patches of {side} (a picture would be cut into {squares}; at most {MAX_SQUARES})"));
    }
    Ok(Fit::ShortestThenCut { shortest: edge, longest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, json: &str, side: usize) -> Result<Preprocess, String> {
        preprocess(kind, Some(&serde_json::from_str(json).expect("JSON")), side)
    }

    /// As the files on the Hub have it.
    #[test]
    fn published_files_are_read() {
        let llava = r#"{"crop_size":{"height":336,"width":336},"do_center_crop":true,"do_convert_rgb":true,"do_normalize":true,
            "do_rescale":true,"do_resize":true,"image_mean":[0.48145466,0.4578275,0.40821073],"image_processor_type":
            "CLIPImageProcessor","image_std":[0.26862954,0.26130258,0.27577711],"processor_class":"LlavaProcessor","resample":3,
            "rescale_factor":0.00392156862745098,"size":{"shortest_edge":336}}"#;
        let clip = Preprocess { fit: Fit::CropCentre(336), ..Preprocess::clip(336) };
        assert_eq!(read(Kind::Clip, llava, 336), Ok(clip.clone()));
        assert_eq!(preprocess(Kind::Clip, None, 336), Ok(clip));
        let smolvlm = r#"{"do_convert_rgb":true,"do_image_splitting":true,"do_normalize":true,"do_pad":true,"do_rescale":true,
            "do_resize":true,"image_mean":[0.5,0.5,0.5],"image_std":[0.5,0.5,0.5],"max_image_size":{"longest_edge":512},"resample":1,
            "rescale_factor":0.00392156862745098,"size":{"longest_edge":2048}}"#;
        let found = read(Kind::Idefics3, smolvlm, 512).expect("readable");
        assert_eq!((found.fit, found.filter, found.mean), (Fit::LongestThenCut(2048), Filter::Lanczos, [0.5; 3]));
        let whole = smolvlm.replace(r#""do_image_splitting":true"#, r#""do_image_splitting":false"#);
        assert_eq!(read(Kind::Idefics3, &whole, 512).expect("readable").fit, Fit::LongestThenStretch(2048));
        let vilt = r#"{"do_normalize":true,"do_resize":true,"feature_extractor_type":"ViltFeatureExtractor","image_mean":[0.5,0.5,0.5],
            "image_std":[0.5,0.5,0.5],"resample":3,"size":384,"size_divisor":32}"#;
        let found = read(Kind::Vilt, vilt, 32).expect("readable");
        let fit = Fit::ShortestThenCut { shortest: 384, longest: 639 };
        assert_eq!((found.fit, found.filter, found.std), (fit, Filter::Bicubic, [0.5; 3]));
        let blip = read(Kind::Blip, r#"{"size":{"height":224,"width":224}}"#, 224).expect("readable");
        assert_eq!((blip.fit, blip.filter), (Fit::Stretch, Filter::Bicubic));
    }

    #[test]
    fn what_would_change_a_pixel_unseen_is_an_error() {
        for (kind, json, expect) in [
            (Kind::Clip, r#"{"crop_size":224}"#, "crop_size = 224 (the tower's pictures have 336"),
            (Kind::Clip, r#"{"size":{"shortest_edge":100}}"#, "shortest_edge must be at least the 336"),
            (Kind::Clip, r#"{"do_pad":true}"#, "do_pad"),
            (Kind::Clip, r#"{"do_resize":false}"#, "do_resize = false"),
            (Kind::Clip, r#"{"resample":0}"#, "resample = 0"),
            (Kind::Clip, r#"{"image_std":[1,0,1]}"#, "image_std = [1.0, 0.0, 1.0] (numbers above 0"),
            (Kind::Clip, r#"{"image_std":[1,-1,1]}"#, "image_std"),
            (Kind::Clip, r#"{"image_std":[1,1e39,1]}"#, "image_std"),
            (Kind::Clip, r#"{"image_mean":[1,1e39,1]}"#, "image_mean"),
            (Kind::Clip, r#"{"image_mean":[0.5,0.5]}"#, "invalid length"),
            (Kind::Clip, r#"{"rescale_factor":0}"#, "rescale_factor = 0"),
            (Kind::Clip, r#"{"rescale_factor":1e39}"#, "rescale_factor = inf"),
            (Kind::Clip, r#"{"rescale_factor":-0.004}"#, "rescale_factor"),
            (Kind::Clip, r#"{"size":{"shortest_edge":0}}"#, "shortest_edge"),
            (Kind::Clip, r#"{"image_processor_type":"LlavaNextImageProcessor"}"#, "\"LlavaNextImageProcessor\""),
            (Kind::Idefics3, r#"{"size":{"longest_edge":0}}"#, "size = {\"longest_edge\": 0} (it must have"),
            (Kind::Clip, "[true]", "no table"),
            (Kind::Clip, r#"{"size":{"shortest_edge":4000000000}}"#, "size"),
            (Kind::Blip, r#"{"size":{"height":224,"width":225}}"#, "size = {\"height\": 224, \"width\": 225} (the tower's"),
            (Kind::Idefics3, r#"{"max_image_size":{"longest_edge":364}}"#, "max_image_size"),
            (Kind::Clip, r#"{"image_mean":"none"}"#, "invalid"),
            (Kind::Vilt, r#"{"size_divisor":32}"#, "size_divisor = 32 (the model's patches have 336"),
            (Kind::Vilt, r#"{"size_divisor":336,"size":{"shortest_edge":300}}"#, "shortest_edge must be from 336 to 4096"),
        ] {
            let error = read(kind, json, 336).expect_err(json);
            assert!(error.contains(expect), "{error}");
        }
        assert!(preprocess(Kind::Clip, None, 1 << 40).is_err());
        let cut = read(Kind::Idefics3, r#"{"size":{"longest_edge":2048},"max_image_size":{"longest_edge":2}}"#, 2);
        assert!(cut.expect_err("a million squares").contains("cut into 1048576; at most 1024"));
    }
}
