// What Curator makes of one znode or a few: begun on a whole ensemble, and gone on with after its leader was killed.

interface Recipe {
    void begin() throws Exception;

    void goOn() throws Exception;
}
