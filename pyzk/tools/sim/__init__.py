"""`pyzk sim`: whole ensembles from one seed, on the screen."""
