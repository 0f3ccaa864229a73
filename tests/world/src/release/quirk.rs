//! The quirks of real releases, one word each, so that a test can ask for the number of rows that have one.

use crate::words::word_enum;

word_enum! {
    /// Something a reader must get right, or a rule it must apply.
    Quirk, "quirk" {
        // Any source.
        CaptionNull = "caption-null",
        CaptionEmpty = "caption-empty",
        CaptionBlank = "caption-blank",
        CaptionLong = "caption-long",
        CaptionRepeated = "caption-repeated",
        UrlNull = "url-null",
        UrlRepeated = "url-repeated",
        HtmlEntities = "html-entities",
        QuoteUnbalanced = "quote-unbalanced",
        QuotesBalanced = "quotes-balanced",
        Backtick = "backtick",
        PersonToken = "person-token",
        HtmlBody = "html-body",
        // LAION.
        NsfwUnsure = "nsfw-unsure",
        NsfwNsfw = "nsfw-nsfw",
        NsfwEmpty = "nsfw-empty",
        NsfwNull = "nsfw-null",
        SimilarityOutlier = "similarity-outlier",
        SimilarityNull = "similarity-null",
        SimilarityLow = "similarity-low",
        SampleIdRepeated = "sample-id-repeated",
        SizeNull = "size-null",
        SizeZero = "size-zero",
        SizesSwapped = "sizes-swapped",
        PunsafeHigh = "punsafe-high",
        PwatermarkHigh = "pwatermark-high",
        ScoreNull = "score-null",
        LanguageOther = "language-other",
        Md5Changed = "md5-changed",
        StatusFailed = "status-failed",
        // RedCaps.
        UrlIReddit = "url-i-reddit",
        UrlIImgur = "url-i-imgur",
        UrlMImgur = "url-m-imgur",
        UrlImgurPage = "url-imgur-page",
        UrlImgurAlbum = "url-imgur-album",
        UrlRedditGallery = "url-reddit-gallery",
        UrlFlickr = "url-flickr",
        RemovedImage = "removed-image",
        RawCaptionDiffers = "raw-caption-differs",
        Crossposted = "crossposted",
        // WIT.
        ReferenceNull = "reference-null",
        MimePng = "mime-png",
        MimeSvg = "mime-svg",
        MimeTiff = "mime-tiff",
        MimeGif = "mime-gif",
        MimeWebp = "mime-webp",
        ImageRecaptioned = "image-recaptioned",
        FieldQuoted = "field-quoted",
        UrlWikimedia = "url-wikimedia",
        OriginalHuge = "original-huge",
        // YFCC.
        Listed = "listed",
        Video = "video",
        TitleEmpty = "title-empty",
        DescriptionEmpty = "description-empty",
        TextEmpty = "text-empty",
        LiteralPlus = "literal-plus",
        NewlineEscaped = "newline-escaped",
        HtmlTags = "html-tags",
        UrlInText = "url-in-text",
        CameraName = "camera-name",
        PercentBroken = "percent-broken",
        PercentNotUtf8 = "percent-not-utf8",
        TextLong = "text-long",
        // Shutterstock.
        FieldWithDelimiter = "field-with-delimiter",
        // ImageNet.
        PngNamedJpeg = "png-named-jpeg",
        CmykJpeg = "cmyk-jpeg",
        GreyJpeg = "grey-jpeg",
        CorruptImage = "corrupt-image",
        Captioned = "captioned",
        TagsEmpty = "tags-empty",
        TagsForeign = "tags-foreign",
        LinkInDescription = "link-in-description",
    }
}

impl Quirk {
    /// The one of `kinds` that row `index` has: every third row has one, each in turn, so that all of them come up
    /// in the first `3 × kinds` rows and the counts follow from the number of rows.
    pub(super) fn of_row(kinds: &[Self], index: u64) -> Option<Self> {
        (index % 3 == 1).then(|| kinds.get((index / 3) as usize % kinds.len().max(1)).copied()).flatten()
    }
}
