//! A decoder that panics costs its image and nothing else. The panic hook belongs to the whole process, so this is a
//! test binary of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::panic;
use std::sync::atomic::{AtomicU32, Ordering};

use pairmill_pixels::{
    CropConfig, Cropper, Limits, PixelError, Placement, TransformConfig, Transformer, View, decode_rgb,
    perceptual_hash, thumbnail,
};
use support::{encode_jpeg, planar_tiled_tiff, scene};

fn is_panic<T: std::fmt::Debug>(result: &Result<T, PixelError>) -> bool {
    // The place has no folder of the machine in it, and so is the same everywhere.
    matches!(result, Err(PixelError::Panicked(place)) if place.starts_with("tiff-") && place.contains(".rs:"))
}

#[test]
fn f01_a_panic_in_a_decoder_costs_its_image_only_and_prints_nothing() {
    static REPORTED: AtomicU32 = AtomicU32::new(0);
    panic::set_hook(Box::new(|_| {
        REPORTED.fetch_add(1, Ordering::Relaxed);
    }));
    let (bad, good) = (planar_tiled_tiff(), encode_jpeg(&scene(90, 70, 1), 90, 70, 3));
    let mut transformer = Transformer::new(&TransformConfig::default()).unwrap();
    let before = transformer.transform(&good).unwrap();
    for _ in 0..3 {
        let result = transformer.transform(&bad);
        assert!(is_panic(&result), "{result:?}");
        assert_eq!(transformer.transform(&good).unwrap(), before);
    }
    let limits = Limits::default();
    assert!(is_panic(&decode_rgb(&bad, &limits)));
    assert!(is_panic(&perceptual_hash(&bad, &limits)));
    assert!(is_panic(&thumbnail(&bad, &limits, 20)));
    let mut cropper = Cropper::new(&CropConfig { side: 32, ..CropConfig::default() }).unwrap();
    let mut square = |bytes: &[u8]| {
        let mut out = vec![0; cropper.out_bytes()];
        let placement = Placement { view: View::Centre, mirrored: false };
        cropper.write(bytes, |_, _| placement, &mut out).map(|()| out)
    };
    let before = square(&good).unwrap();
    let result = square(&bad);
    assert!(is_panic(&result), "{result:?}");
    assert_eq!(square(&good).unwrap(), before);
    assert!(is_panic(&cropper.decode_rgb(&bad)));
    assert_eq!(REPORTED.load(Ordering::Relaxed), 0);
}
