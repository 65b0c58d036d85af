"""What runs by itself: schedules, and sensors that mostly poke the warehouse and launch nothing."""
