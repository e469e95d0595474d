//! Distances on the globe.

/// Mean radius of the earth (IUGG), in meters.
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// The great-circle distance between two points in microdegrees, in whole meters.
pub fn distance_m(a: (i32, i32), b: (i32, i32)) -> u32 {
    let radians = |e6: i32| (f64::from(e6) / 1e6).to_radians();
    let (lat_a, lat_b) = (radians(a.0), radians(b.0));
    let (half_lat, half_lon) = ((lat_b - lat_a) / 2.0, (radians(b.1) - radians(a.1)) / 2.0);
    let chord = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
    let angle = 2.0 * chord.clamp(0.0, 1.0).sqrt().asin();
    (EARTH_RADIUS_M * angle).round() as u32
}

#[cfg(test)]
mod tests {
    use super::distance_m;

    #[test]
    fn distances_are_those_of_the_globe() {
        let berlin = (52_525_084, 13_369_402);
        let hamburg = (53_552_736, 10_006_909);
        let between = distance_m(berlin, hamburg);
        // By the spherical law of cosines, 252,150.7 m.
        assert!((252_150..=252_152).contains(&between), "{between}");
        assert_eq!(distance_m(berlin, berlin), 0);
        // A quarter and half of the equator.
        assert_eq!(distance_m((0, 0), (0, 90_000_000)), 10_007_557);
        assert_eq!(distance_m((0, 0), (0, 180_000_000)), 20_015_114);
    }
}
