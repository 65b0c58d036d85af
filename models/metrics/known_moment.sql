{{ known_moment() }}
