"""What goes wrong on purpose: bad messages, lost peers, dying processes."""
