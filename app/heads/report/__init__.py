"""What a report says beyond a head's figures. Light, but for `plots` and `page`, which load matplotlib."""
